// One module: where its rollout is, how it was judged, its versions, what happened, what to do.
import {charts} from './charts.js';
import {commands} from './commands.js';
import {el, facts, setAttribute, setText, sync} from './dom.js';
import {bar, ring, strip} from './list.js';
import {age, count, duration, interfacesOf, isInProgress, pause, percent, step, versionsOf, weight, where} from './words.js';

const EVENTS_SHOWN = 100, HISTORY_SHOWN = 20, WAYS_BACK_SHOWN = 4;

async function getJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function summaryOf(m) {
  const r = m.rollout, going = isInProgress(m), newest = m.candidate ?? m.stable;
  return [
    ['Rollout', r.id ? `${r.id}, ${r.phase}` : null],
    ['Stable', m.stable?.version],
    ['Candidate', m.candidate?.version],
    ['Last good', m.last_good],
    ['Pause', going ? pause(r) : null],
    ['One way', going && r.one_way ? `${r.one_way.door === 'open' ? 'agreed to' : 'not agreed to yet'}: ${r.one_way.message}` : null],
    ['Sticky', going ? r.sticky : null],
    ['Bake', r.phase === 'Baking' ? `${duration(r.bake_left_usec)} left` : null],
    ['Deadline', going && r.deadline_left_usec ? `${duration(r.deadline_left_usec)} left` : null],
    ['By', [newest?.actor, newest?.why].filter(Boolean).join(': ')],
    ['Ordered', going && r.order ? `${r.order.actor || 'somebody'}: ${r.order.verb}, ${age(r.order.at)}` : null],
    ['Verdict', m.verdict?.sentence ?? m.verdict?.verdict],
    ['Updated', age(m.updated)],
  ];
}

function ladder() {
  const list = el('ol', {class: 'ladder'});
  const node = el('section', {'aria-labelledby': 'steps'}, el('h2', {id: 'steps'}, 'Steps'), list);
  const make = () => {
    const text = el('span'), mark = el('span', {class: 'quiet'});
    const item = el('li', {}, text, mark);
    return {
      node: item,
      update({words, state}) {
        setText(text, words);
        setText(mark, state === 'now' ? ' now' : state === 'done' ? ' done' : '');
        setAttribute(item, 'class', state);
        setAttribute(item, 'aria-current', state === 'now' ? 'step' : null);
      },
    };
  };
  return {
    node,
    update(m) {
      const r = m.rollout;
      node.hidden = !isInProgress(m);
      if (node.hidden) return;
      const at = r.phase === 'Baking' ? r.steps.length + 1 : r.step;
      const words = [...r.steps.map(step), 'swap to all of the traffic', `bake ${duration(r.bake_usec)}`];
      sync(list, words.map((w, i) => ({words: w, key: i, state: i < at ? 'done' : i === at ? 'now' : 'next'})), (s) => s.key, make);
    },
  };
}

function version(store) {
  const title = el('h3'), row = strip(store, false), about = facts();
  return {
    node: el('li', {class: 'card'}, title, row.node, about.node),
    update(v) {
      setText(title, `${v.version} ${v.role}`);
      row.update(v);
      about.update([
        ['Weight', weight(v.weight)],
        ['Requests', v.requests === undefined ? 'not loaded' : `${count(v.requests)}, ${count(v.errors)} failed, ${count(v.in_flight)} in flight`],
        ['p50, p99', v.requests ? `${(v.p50_usec / 1000).toFixed(2)} ms, ${(v.p99_usec / 1000).toFixed(2)} ms` : null],
        ['Breaker', v.breaker?.state === 'closed' ? null : v.breaker?.state],
        ['Faults', v.faults || null],
        ['Digest', v.hash],
        ['Contract', interfacesOf(v.contract)],
        ['Requires', v.contract?.requires.map((n) => `${n.name} ${n.range}`).join('; ')],
        ['State', v.contract?.state ? 'holds state' : null],
        ['Source', v.source],
      ]);
    },
  };
}

function versions(store) {
  const list = el('ul', {class: 'cards'});
  return {
    node: el('section', {'aria-labelledby': 'versions'}, el('h2', {id: 'versions'}, 'Versions'), list),
    update(m) {
      sync(list, versionsOf(m).map((v) => ({...v, module: m.module})), (v) => `${v.hash} ${v.role}`, () => version(store));
    },
  };
}

function line() {
  const at = el('time'), what = el('strong'), text = el('span');
  return {
    node: el('li', {}, at, ' ', what, ' ', text),
    update(e) {
      setAttribute(at, 'datetime', e.at);
      setText(at, age(e.at));
      setText(what, e.what);
      setText(text, e.text);
    },
  };
}

function happened(id, title) {
  const list = el('ul', {class: 'events'});
  return {
    node: el('section', {'aria-labelledby': id}, el('h2', {id}, title), list),
    update: (items) => sync(list, items, (e) => e.key, line),
  };
}

function past(module, rollouts) {
  return rollouts.map((r) => {
    const mine = r.modules.find((m) => m.module === module);
    const text = [mine.reason ?? r.reason, mine.message ?? r.message, mine.actor && `by ${mine.actor}`, mine.why].filter(Boolean).join(': ');
    return {key: r.rollout, at: r.updated, what: `${r.rollout} ${mine.from?.version ?? 'nothing'} → ${mine.to?.version ?? 'nothing'} ${r.phase}`, text};
  });
}

// The newest versions that were in force, but the one that is.
function goodOf(m, rollouts) {
  const mine = rollouts.map((r) => [r.phase, r.modules.find((x) => x.module === m.module)]);
  const was = mine.map(([phase, x]) => (phase === 'Healthy' ? x.to : x.from)?.version);
  return [...new Set(was)].filter((v) => v && v !== m.stable?.version).slice(0, WAYS_BACK_SHOWN);
}

export function detailView(store, name) {
  const circle = ring(), split = bar(), summary = facts(), steps = ladder(), compared = charts(), all = versions(store);
  const history = happened('history', 'History'), events = happened('events', 'Events'), todo = commands();
  const phase = el('p', {class: 'phase'}), message = el('p', {class: 'message'});
  const found = el('div', {class: 'detail'}, split.node, summary.node, steps.node, compared.node, todo.node, all.node, history.node, events.node);
  const gone = el('p', {class: 'quiet'}, 'There is no such module on this host.');
  const node = el('div', {}, el('a', {class: 'back', href: '#/'}, 'All modules'),
    el('div', {class: 'head'}, circle.node, el('div', {}, el('h1', {tabindex: '-1'}, name), phase)), message, found, gone);
  let asked = '', rollouts = [];

  // What the stream does not tell: ended rollouts, and the looks before this page was opened.
  async function ask(id) {
    rollouts = (await getJson(`/v1/history?module=${encodeURIComponent(name)}&limit=${HISTORY_SHOWN}`)).rollouts;
    if (id)
      await store.addRecords(name, id, async () => (await getJson(`/v1/rollouts/${id}/verdicts`)).verdicts.filter((v) => v.module === name)
        .map((v) => ({at: Date.parse(v.at), verdict: v.record.verdict.verdict, gates: v.record.verdict})));
    store.changed();
  }

  return {
    node,
    title: () => name,
    update() {
      const m = store.modules.get(name);
      found.hidden = !m;
      gone.hidden = Boolean(m) || !store.host;
      if (!m) return;
      const now = `${m.rollout.id} ${m.rollout.phase}`;
      if (now !== asked) {
        asked = now;
        ask(m.rollout.id).catch(() => (asked = '')); // again with the next change
      }
      setText(phase, where(m));
      setText(message, [m.reason, m.message].filter(Boolean).join(': '));
      for (const part of [circle, split, steps, all]) part.update(m);
      todo.update(m, goodOf(m, rollouts));
      summary.update(summaryOf(m));
      compared.update(store.points(name, m.rollout.id));
      history.update(past(name, rollouts));
      events.update(store.events.filter((e) => e.module === name).slice(-EVENTS_SHOWN).reverse()
        .map((e) => ({key: e.seq, at: e.at, what: [e.version, e.phase, e.reason].filter(Boolean).join(' '), text: e.message})));
    },
    done: () => compared.done(),
  };
}
