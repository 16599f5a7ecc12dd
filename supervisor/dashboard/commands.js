// The grayctl line for each thing that can be done, ready to be copied.
import {el, setText, sync} from './dom.js';
import {isInProgress} from './words.js';

// [what it does, words behind grayctl]; an order names what was seen, and is refused when that is gone.
export function commandsFor(module) {
  const name = module.module, r = module.rollout, at = `--rollout ${r.id} --step ${r.step}`;
  const lines = [];
  if (isInProgress(module)) {
    const held = r.held_by || r.phase === 'Paused';
    lines.push(['Go on to the next step', `promote ${name} ${at}`], ['Go on to all of the traffic', `promote ${name} --full ${at}`]);
    lines.push(r.held_by ? ['Let it go on', `resume ${name} ${at}`] : [held ? 'Hold it also after this pause' : 'Hold it where it is', `pause ${name} ${at}`]);
    lines.push(['Take it back, and keep it there', `abort ${name} --rollout ${r.id}`]);
  } else {
    if (module.stable) lines.push(['Go back to the last good version', `undo ${name}`]);
    if (['RolledBack', 'Rejected'].includes(r.phase)) lines.push(['Try the rollout again', `retry ${name} --rollout ${r.id}`]);
  }
  lines.push(['Follow it in a terminal', `get ${name} -w`], ['Why it was decided so', `explain ${name}`]);
  return lines;
}

async function copy(text, code, told) {
  try {
    await navigator.clipboard.writeText(text);
    setText(told, 'Copied');
  } catch { // only a secure page may write the clipboard; the selection is half of the way
    getSelection().selectAllChildren(code);
    setText(told, 'Selected: copy it with Ctrl+C');
  }
}

function row(told) {
  const what = el('span', {class: 'what'}), code = el('code'), button = el('button', {type: 'button'}, 'Copy');
  button.addEventListener('click', () => copy(code.textContent, code, told));
  return {
    node: el('li', {}, what, code, button),
    update([text, words]) {
      setText(what, text);
      setText(code, `grayctl ${words}`);
      button.setAttribute('aria-label', `Copy: grayctl ${words}`);
    },
  };
}

export function commands() {
  const list = el('ul', {class: 'commands'}), told = el('p', {class: 'quiet told', role: 'status'});
  return {
    node: el('section', {'aria-labelledby': 'commands'}, el('h2', {id: 'commands'}, 'Commands'), list, told),
    update(module) {
      sync(list, commandsFor(module), ([, words]) => words.split(' ').slice(0, words.includes('--full') ? 3 : 1).join(' '), () => row(told));
    },
  };
}
