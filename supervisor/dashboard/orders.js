// Orders to this host, for whoever has the token: who that is, and the dialogs in which one is given.
import {el, setText} from './dom.js';

const KEYS = ['grayling.name', 'grayling.token']; // of this tab, until it is closed

export function signedIn() {
  const [name, token] = KEYS.map((k) => sessionStorage.getItem(k));
  return token ? {name, token} : null;
}

function keep(values) {
  KEYS.forEach((k, i) => (values ? sessionStorage.setItem(k, values[i]) : sessionStorage.removeItem(k)));
  dispatchEvent(new Event('grayling-signed'));
}

async function post(path, body, token) {
  const answer = await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json', Authorization: `Bearer ${token}`}, body: JSON.stringify(body)});
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.message ?? `the host answered ${answer.status}`), {status: answer.status});
  return said;
}

let ids = 0;
function field(label, attributes) {
  const id = `field-${++ids}`, input = el('input', {id, autocomplete: 'off', spellcheck: 'false', ...attributes});
  return {input, node: el('p', {class: 'field'}, el('label', {for: id}, label), input)};
}

// A dialog with a form. `give` gets the values; what it throws is told, and the dialog stays.
function ask({title, about, fields, word, isReady, give}) {
  const parts = fields.map(([label, attributes]) => field(label, attributes));
  const values = () => parts.map((p) => p.input.value.trim());
  const go = el('button', {type: 'submit', class: 'go'}, word), cancel = el('button', {type: 'button'}, 'Cancel');
  const wrong = el('p', {class: 'wrong', role: 'alert'}), id = `dialog-${++ids}`;
  const form = el('form', {}, el('h2', {id}, title), ...about.map((text) => el('p', {}, text)), ...parts.map((p) => p.node), wrong, el('p', {class: 'buttons'}, cancel, go));
  const dialog = el('dialog', {'aria-labelledby': id}, form);
  const check = () => (go.disabled = !isReady(...values()));
  form.addEventListener('input', check);
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    go.disabled = true;
    setText(wrong, '');
    try {
      await give(...values());
      dialog.close();
    } catch (error) {
      setText(wrong, error.message);
      check();
    }
  });
  check();
  document.body.append(dialog);
  dialog.showModal();
}

export function signIn() {
  ask({
    title: 'Sign in', word: 'Sign in', about: ['With the token of [Admin] TokenFile. Both are kept until this tab is closed.'],
    fields: [['Your name, for the record', {name: 'name', maxlength: 64}], ['Token', {name: 'token', type: 'password'}]],
    isReady: (name, token) => name !== '' && token !== '',
    give: async (name, token) => {
      await post('/v1/token', {}, token);
      keep([name, token]);
    },
  });
}

export const signOut = () => keep(null);

// The token was another one when this tab signed in: what it keeps is of no more use.
async function postSigned(path, body) {
  const {name: actor, token} = signedIn() ?? {};
  if (!token) throw new Error('Nobody is signed in here any more. Close this, and sign in again.');
  try {
    return await post(path, {...body, actor}, token);
  } catch (error) {
    if (error.status !== 401) throw error;
    signOut();
    throw new Error('The token of this host was changed since you signed in: nothing was ordered. Close this, and sign in again.');
  }
}

export function order(module, action, done) {
  const r = module.rollout, name = module.module, body = {...action.body, ...(r.id ? {rollout: r.id} : {}), ...(action.step ? {step: r.step} : {})};
  ask({
    title: `${name}: ${action.title}?`, word: action.title, about: [action.about, 'It goes to this host alone, and is refused when something else is in progress by then.'],
    fields: [[`Type ${name} to confirm`, {name: 'confirm'}], ['Reason', {name: 'reason', maxlength: 400}]],
    isReady: (typed) => typed === name,
    give: async (_, reason) => done(await postSigned(`/v1/modules/${name}/${action.verb}`, {...body, reason})),
  });
}

// Sign in and out, in the head of the page.
export function session() {
  const button = el('button', {type: 'button', hidden: true});
  button.addEventListener('click', () => (signedIn() ? signOut() : signIn()));
  return {
    node: button,
    update(host) {
      const who = signedIn();
      button.hidden = !host?.orders;
      setText(button, who ? `Sign out ${who.name}` : 'Sign in');
    },
  };
}
