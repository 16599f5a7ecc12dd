// Which view is shown, and what stands above all of them.
import {detailView} from './detail.js';
import {setAttribute, setText} from './dom.js';
import {listView} from './list.js';
import {session} from './orders.js';
import {Store} from './store.js';
import {where} from './words.js';

const signing = session(), store = new Store(), main = document.getElementById('main');
let view = null;

function show() {
  const found = /^#\/modules\/([a-z0-9][a-z0-9._-]{0,63})$/.exec(location.hash);
  if (location.hash && !found && location.hash !== '#/') return; // the skip link
  const first = !view;
  view?.done();
  view = found ? detailView(store, found[1]) : listView(store);
  main.replaceChildren(view.node);
  update();
  if (!first) main.querySelector('h1').focus();
}

function update() {
  const host = store.host, live = document.getElementById('live');
  view.update();
  signing.update(host);
  setText(live, store.live ? 'Live' : 'No connection; trying again');
  setAttribute(live, 'data-live', store.live);
  if (host) setText(document.getElementById('host'), [`${host.service} on ${host.instance}`, host.phase, host.message].filter(Boolean).join(': '));
  document.title = [view.title(), host && `${host.service} on ${host.instance}`, 'Grayling'].filter(Boolean).join(' · ');
}

document.getElementById('session').append(signing.node);
addEventListener('grayling-signed', update);
store.addEventListener('change', update);
store.addEventListener('phase', ({detail}) => setText(document.getElementById('announcer'), `${detail.module}: ${where(detail)}`));
document.getElementById('skip').addEventListener('click', (e) => {
  e.preventDefault();
  main.focus();
});
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && location.hash.startsWith('#/modules/') && !document.querySelector('dialog[open]')) location.hash = '#/';
});
addEventListener('hashchange', show);
show();
store.start();
