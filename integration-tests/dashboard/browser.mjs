// Drives a headless Chromium for test_dashboard.py: reads orders as lines of JSON from standard input, answers each with one line.
//   {"do": "open", "url": ..., "width": 1200, "dark": false}   a fresh page, which may load nothing from elsewhere
//   {"do": "text", "at": selector, "has": text}                waits until an element's text holds it
//   {"do": "gone", "at": selector}, {"do": "click", "at": selector}, {"do": "fill", "at": selector, "text": ...}
//   {"do": "press", "key": "Tab"}, {"do": "eval", "js": expression}, {"do": "shot", "path": ..., "full": true}
//   {"do": "axe"}                                              findings of axe-core that are serious or critical
//   {"do": "close"}                                            what went wrong on the page meanwhile: console errors, foreign requests
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';

const [modules, chromium, patience] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const playwright = require('playwright-core'), axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const browser = await playwright.chromium.launch({executablePath: chromium, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']});
let context, page, wrong;

async function open({url, width = 1200, height = 900, dark = false, quiet = ''}) {
  await context?.close();
  wrong = [];
  context = await browser.newContext({viewport: {width, height}, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce'});
  page = await context.newPage();
  page.setDefaultTimeout(Number(patience));
  const origin = new URL(url).origin;
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && !(quiet && m.text().includes(quiet)) && wrong.push(`console: ${m.text()}`));
  page.on('pageerror', (e) => wrong.push(`exception: ${e.stack}`));
  page.on('request', (r) => new URL(r.url()).origin !== origin && wrong.push(`request to ${r.url()}`));
  await page.goto(url);
}

// The axe engine is evaluated in the page by the debugger, which the page's policy does not forbid.
async function findings() {
  await page.evaluate(axe);
  const {violations} = await page.evaluate('axe.run(document, {resultTypes: ["violations"]})');
  return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('; ')}`);
}

const orders = {
  open,
  text: ({at, has}) => page.locator(at).filter({hasText: has}).first().waitFor({state: 'attached'}),
  gone: ({at}) => page.locator(at).first().waitFor({state: 'hidden'}),
  click: ({at}) => page.locator(at).first().click(),
  fill: ({at, text}) => page.locator(at).first().fill(text),
  press: ({key}) => page.keyboard.press(key),
  eval: ({js}) => page.evaluate(js),
  shot: ({path, full}) => page.screenshot({path, fullPage: Boolean(full)}),
  axe: findings,
  close: async () => {
    await context.close();
    context = null;
    return wrong;
  },
};

for await (const line of createInterface({input: process.stdin})) {
  const order = JSON.parse(line);
  try {
    process.stdout.write(`${JSON.stringify({ok: (await orders[order.do](order)) ?? null})}\n`);
  } catch (e) {
    const shown = page ? await page.locator('body').innerText().catch(() => '') : '';
    process.stdout.write(`${JSON.stringify({failed: `${line}: ${e.message}\n${wrong}\n${shown.slice(0, 3000)}`})}\n`);
  }
}
await browser.close();
