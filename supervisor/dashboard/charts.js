// Stable against candidate as the analysis saw them: error share and p99, with the band in which the
// candidate's true value lies and the limit that it is held against. uPlot draws.
import {el, setAttribute, setText} from './dom.js';
import {milliseconds, percent} from './words.js';

const HEIGHT = 190;
const number = (x) => (typeof x === 'number' ? x : null);

// A gate as four lines. errors: differences of shares. latency_p99: ratios.
const KINDS = {
  errors: {
    title: 'Error share',
    gates: ['errors', 'errors_alone'],
    around: (stable, x) => (x === null ? null : Math.min(1, Math.max(0, stable + x))),
    show: (x) => percent(x, x !== null && x < 0.01 ? 2 : 1),
    scale: (x) => x,
    effect: (g) => `difference ${signed(g.estimate)} [${signed(g.low)}, ${signed(g.high)}], limit ${signed(g.limit)}`,
  },
  p99: {
    title: 'p99 latency',
    gates: ['latency_p99'],
    around: (stable, x) => (x === null ? null : stable * x),
    show: (x) => milliseconds(x),
    effect: (g) => `ratio ${times(g.estimate)} [${times(g.low)}, ${times(g.high)}], limit ${times(g.limit)}`,
  },
};

function signed(x) {
  return number(x) === null ? '?' : `${x < 0 ? '−' : '+'}${percent(Math.abs(x))}`;
}

function times(x) {
  return number(x) === null ? '?' : `×${x.toFixed(2)}`;
}

function gateOf(kind, gates) {
  return kind.gates.map((name) => gates[name]).find((g) => g && g.enabled !== false && number(g.candidate_n) > 0);
}

function columns(kind, points) {
  const data = [[], [], [], [], [], []]; // time, low, high, stable, candidate, limit
  for (const p of points) {
    const g = gateOf(kind, p.gates);
    if (!g) continue;
    const stable = number(g.stable) ?? 0;
    const row = [p.at / 1000, kind.around(stable, number(g.low)), kind.around(stable, number(g.high)), number(g.stable), number(g.candidate),
      kind.around(stable, number(g.limit))];
    row.forEach((x, i) => data[i].push(x));
  }
  return data;
}

// The lines fill the picture; a band that is far wider leaves it.
function range(self) {
  const seen = [3, 4, 5].flatMap((i) => self.data[i]).filter((x) => x !== null);
  return [0, Math.max(...seen, 0) * 1.25 || 1];
}

function options(kind, width) {
  const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(name).trim();
  const axis = {stroke: color('--soft'), grid: {stroke: color('--line'), width: 1}, ticks: {stroke: color('--line')}, font: '12px system-ui'};
  const line = (label, name, dash) => ({label, stroke: color(name), width: 2, dash, points: {show: true, size: 4}});
  return {
    width, height: HEIGHT, legend: {show: false}, cursor: {show: false},
    scales: {y: {range}},
    axes: [{...axis, space: 70}, {...axis, size: 64, values: (_, ticks) => ticks.map(kind.show)}],
    series: [{}, {label: 'low', stroke: 'transparent', points: {show: false}}, {label: 'high', stroke: 'transparent', points: {show: false}},
      line('stable', '--stable'), line('candidate', '--candidate', [7, 4]), {...line('limit', '--bad', [2, 4]), points: {show: false}}],
    bands: [{series: [2, 1], fill: color('--band')}],
  };
}

function chart(kind) {
  const picture = el('div', {class: 'picture', role: 'img'}), words = el('p', {class: 'decision'});
  const node = el('figure', {class: 'chart'}, el('figcaption', {}, kind.title), picture, words);
  let plot = null, drawn = '';
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const forget = () => {
    plot?.destroy();
    plot = null;
    drawn = '';
  };
  const sizes = new ResizeObserver(() => plot?.setSize({width: picture.clientWidth, height: HEIGHT}));
  sizes.observe(picture);
  dark.addEventListener('change', forget);
  return {
    node,
    update(points) {
      const data = columns(kind, points), newest = points.at(-1), g = newest && gateOf(kind, newest.gates);
      const text = g
        ? `${g.verdict}: candidate ${kind.show(number(g.candidate))}, stable ${kind.show(number(g.stable))}; ${kind.effect(g)}`
        : newest && !kind.gates.some((name) => newest.gates[name] && newest.gates[name].enabled !== false) ? 'Not judged: the strategy asks for no such gate' : 'Nothing was compared yet';
      setText(words, text);
      setAttribute(words, 'data-verdict', g?.verdict ?? null);
      setAttribute(picture, 'aria-label', `${kind.title}: ${text}`);
      const key = `${data[0].length} ${data[0].at(-1)}`;
      if (key === drawn) return;
      drawn = key;
      if (!data[0].length) forget();
      else if (plot) plot.setData(data);
      else if (picture.clientWidth) plot = new uPlot(options(kind, picture.clientWidth), data, picture);
      else drawn = '';
    },
    done() {
      forget();
      sizes.disconnect();
      dark.removeEventListener('change', forget);
    },
  };
}

export function charts() {
  const all = Object.values(KINDS).map(chart);
  const key = (name, text) => el('li', {class: name}, text);
  const legend = el('ul', {class: 'legend', 'aria-hidden': 'true'}, key('stable', 'stable'), key('candidate', 'candidate'), key('limit', 'limit'),
    key('band', 'where the candidate truly is'));
  return {
    node: el('section', {'aria-labelledby': 'compared'}, el('h2', {id: 'compared'}, 'Stable against candidate'), legend,
      el('div', {class: 'charts'}, ...all.map((c) => c.node))),
    update: (points) => all.forEach((c) => c.update(points)),
    done: () => all.forEach((c) => c.done()),
  };
}
