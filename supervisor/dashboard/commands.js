// What can be done with a module: the grayctl line for each, ready to be copied, and a button for whoever signed in.
import {el, setAttribute, setText, sync} from './dom.js';
import {order, signedIn} from './orders.js';
import {isInProgress, where} from './words.js';

// {text, words behind grayctl, action}; an order names what was seen, and is refused when that is gone. `good`: versions that were in force before.
export function commandsFor(module, good) {
  const name = module.module, r = module.rollout, at = `--rollout ${r.id} --step ${r.step}`;
  const about = isInProgress(module) ? `Rollout ${r.id} of ${module.candidate?.version ?? module.stable?.version}: ${where(module)}.` : `In force is ${module.stable?.version}.`;
  const lines = [];
  const add = (verb, title, text, words, more = {}) => lines.push({key: title, text, words, action: {verb, title, about, ...more}});
  if (isInProgress(module)) {
    add('promote', 'Promote', 'Go on to the next step', `promote ${name} ${at}`, {step: true});
    add('promote', 'Promote fully', 'Go on to all of the traffic', `promote ${name} --full ${at}`, {step: true, body: {full: true}});
    if (r.held_by) add('resume', 'Resume', 'Let it go on', `resume ${name} ${at}`, {step: true});
    else add('pause', 'Pause', r.phase === 'Paused' ? 'Hold it also after this pause' : 'Hold it where it is', `pause ${name} ${at}`, {step: true});
    add('abort', 'Abort', 'Take it back, and keep it there', `abort ${name} --rollout ${r.id}`);
  } else {
    // This host alone, as every order of this page; the line for the terminal asks the fleet.
    if (module.stable) add('undo', 'Undo', 'Go back to the last good version', `undo ${name}`, {body: {local: true}});
    for (const version of good)
      add('undo', `Undo to ${version}`, `Go back to ${version}`, `undo ${name} --to ${version}`, {body: {local: true, to: version}});
    if (['RolledBack', 'Rejected'].includes(r.phase)) add('retry', 'Retry', 'Try the rollout again', `retry ${name} --rollout ${r.id}`);
  }
  lines.push({key: 'get', text: 'Follow it in a terminal', words: `get ${name} -w`}, {key: 'explain', text: 'Why it was decided so', words: `explain ${name}`});
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

function row(told, current) {
  const what = el('span', {class: 'what'}), code = el('code'), button = el('button', {type: 'button'}, 'Copy'), give = el('button', {type: 'button', class: 'give'});
  let line;
  button.addEventListener('click', () => copy(code.textContent, code, told));
  give.addEventListener('click', () => order(current(), line.action, (answer) => {
    const drifts = ['abort', 'undo'].includes(line.action.verb);
    setText(told, [answer.message || `${line.action.title}: done.`, drifts && `The desired state still asks for it: grayctl ${line.action.verb === 'undo' ? line.words : `undo ${current().module}`} makes this last.`]
      .filter(Boolean).join(' '));
  }));
  return {
    node: el('li', {}, what, code, el('span', {class: 'buttons'}, give, button)),
    update(now) {
      line = now;
      setText(what, line.text);
      setText(code, `grayctl ${line.words}`);
      setAttribute(button, 'aria-label', `Copy: grayctl ${line.words}`);
      give.hidden = !line.action || !signedIn();
      setText(give, line.action?.title ?? '');
    },
  };
}

export function commands() {
  const list = el('ul', {class: 'commands'}), told = el('p', {class: 'quiet told', role: 'status'});
  const heading = el('h2', {id: 'commands', tabindex: '-1'}, 'Commands');
  let module;
  return {
    node: el('section', {'aria-labelledby': 'commands'}, heading, list, told),
    update(now, good) {
      module = now;
      const wasHere = list.contains(document.activeElement);
      sync(list, commandsFor(module, good), (line) => line.key, () => row(told, () => module));
      if (wasHere && !list.contains(document.activeElement)) heading.focus(); // what had the focus cannot be done any more
    },
  };
}
