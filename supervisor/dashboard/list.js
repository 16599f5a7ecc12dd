// All modules: a card each.
import {el, setAttribute, setText, svg, sync} from './dom.js';
import {SQUARES, SQUARE_MSEC} from './store.js';
import {plural, progress, split, versionsOf, where} from './words.js';

const AROUND = 2 * Math.PI * 15;
const MARKS = {
  Healthy: 'M12 18.5l4 4 8-9',
  Progressing: 'M18 11v8l5 3',
  Paused: 'M14 12v12M22 12v12',
  Degraded: 'M13 13l10 10M23 13L13 23',
};

// A ring that closes as the rollout goes on, around a mark of the phase.
export function ring() {
  const arc = svg('circle', {class: 'arc', cx: 18, cy: 18, r: 15, transform: 'rotate(-90 18 18)'}), mark = svg('path', {class: 'mark'});
  const node = svg('svg', {class: 'ring', viewBox: '0 0 36 36', 'aria-hidden': 'true'}, svg('circle', {class: 'track', cx: 18, cy: 18, r: 15}), arc, mark);
  return {
    node,
    update(module) {
      setAttribute(node, 'data-phase', module.phase);
      setAttribute(mark, 'd', MARKS[module.phase] ?? '');
      setAttribute(arc, 'stroke-dasharray', `${(AROUND * progress(module)).toFixed(1)} ${AROUND.toFixed(1)}`);
    },
  };
}

export function bar() {
  const candidate = el('div', {class: 'candidate'}), text = el('p', {class: 'quiet'});
  return {
    node: el('div', {class: 'weight'}, el('div', {class: 'bar', 'aria-hidden': 'true'}, candidate), text),
    update(module) {
      const {share, text: words} = split(module);
      candidate.hidden = share === 0;
      candidate.style.width = `${100 * share}%`;
      setText(text, words);
    },
  };
}

function classOf({requests, errors}) {
  return !requests ? 'none' : errors ? 'bad' : 'good';
}

// Two minutes of one version, a square for each five seconds: empty without requests, filled, or crossed out when some failed.
export function strip(store, named = true) {
  const squares = Array.from({length: SQUARES}, () => el('span'));
  const name = el('span', {class: 'name'}), words = el('span', {class: 'hidden'});
  return {
    node: el('div', {class: 'strip'}, named ? name : null, el('span', {class: 'squares', 'aria-hidden': 'true'}, ...squares), words),
    update({module, version, hash, role}) {
      const seen = store.squares(module, hash);
      const sum = (field) => seen.reduce((n, s) => n + s[field], 0);
      seen.forEach((s, i) => {
        setAttribute(squares[i], 'class', classOf(s));
        setAttribute(squares[i], 'title', s.requests ? `${plural(s.requests, 'request')}, ${plural(s.errors, 'error')}` : null);
      });
      setText(name, `${version} ${role}`);
      setText(words, `, ${plural(sum('requests'), 'request')} and ${plural(sum('errors'), 'error')} in the last ${(SQUARES * SQUARE_MSEC) / 60000} minutes`);
    },
  };
}

export function strips(store) {
  const node = el('div', {class: 'strips'});
  return {
    node,
    update(module) {
      const shown = versionsOf(module).filter((v) => v.role !== 'previous' || v.loaded);
      sync(node, shown.map((v) => ({...v, module: module.module})), (v) => `${v.hash} ${v.role}`, () => strip(store));
    },
  };
}

function card(store) {
  const circle = ring(), split_ = bar(), rows = strips(store);
  const link = el('a'), phase = el('p', {class: 'phase'}), message = el('p', {class: 'message'});
  const parts = [circle, split_, rows];
  return {
    node: el('li', {class: 'card'},
      el('div', {class: 'head'}, circle.node, el('div', {}, el('h2', {}, link), phase)), split_.node, rows.node, message),
    update(module) {
      setText(link, module.module);
      setAttribute(link, 'href', `#/modules/${module.module}`);
      setText(phase, where(module));
      setText(message, [module.reason, module.message].filter(Boolean).join(': '));
      for (const part of parts) part.update(module);
    },
  };
}

export function listView(store) {
  const cards = el('ul', {class: 'cards'}), empty = el('p', {class: 'quiet'}, 'No module yet. ', el('code', {}, 'grayctl publish FILE.so'), ' makes one.');
  const node = el('div', {}, el('h1', {tabindex: '-1'}, 'Modules'), cards, empty);
  return {
    node,
    title: () => 'Modules',
    update() {
      const modules = [...store.modules.values()].sort((a, b) => (a.module < b.module ? -1 : 1));
      empty.hidden = modules.length > 0 || !store.host;
      sync(cards, modules, (m) => m.module, () => card(store));
    },
    done() {},
  };
}
