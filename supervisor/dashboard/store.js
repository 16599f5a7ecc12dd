// What the stream has told: the host, its modules, events, and of each version the last two minutes.
import {isInProgress, versionsOf} from './words.js';

const EVENTS_MAX = 500, POINTS_MAX = 600;
export const SQUARES = 24, SQUARE_MSEC = 5000;

export class Store extends EventTarget {
  host = null;
  modules = new Map();
  events = [];
  live = false;
  #rates = new Map(); // "module hash": {requests, errors, squares: Map of slot to {requests, errors}}
  #points = new Map(); // "module rollout": looks of the analysis
  #recorded = new Set(); // of them, those whose looks before were asked for
  #scheduled = false;

  start() {
    this.#connect();
    setInterval(() => this.changed(), SQUARE_MSEC); // ages and squares go on
  }

  #connect() {
    const source = new EventSource('/v1/stream');
    const take = (name, handle) => source.addEventListener(name, (m) => {
      handle.call(this, JSON.parse(m.data));
      this.changed();
    });
    take('host', this.#takeHost);
    take('module', this.#takeModule);
    take('event', this.#takeEvent);
    source.addEventListener('open', () => this.#setLive(true));
    source.addEventListener('error', () => {
      this.#setLive(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.#connect(), 5000); // refused; the browser gives up then
    });
  }

  changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.dispatchEvent(new Event('change'));
    });
  }

  #setLive(live) {
    this.live = live;
    this.changed();
  }

  #takeHost(host) {
    this.host = host;
    for (const name of this.modules.keys()) if (!host.modules.includes(name)) this.modules.delete(name);
  }

  #takeModule(module) {
    const before = this.modules.get(module.module);
    this.modules.set(module.module, module);
    for (const v of versionsOf(module)) this.#count(module.module, v);
    if (isInProgress(module) && Object.keys(module.gates).length)
      this.addPoints(module.module, module.rollout.id, [{at: Date.now(), verdict: module.verdict.verdict, gates: module.gates}]);
    if (before && before.phase !== module.phase)
      this.dispatchEvent(new CustomEvent('phase', {detail: module}));
  }

  #takeEvent(event) {
    if (this.events.length && event.seq <= this.events.at(-1).seq) this.events = []; // another journal
    this.events.push(event);
    if (this.events.length > EVENTS_MAX) this.events.shift();
  }

  // Counters are those of the worker, so that a smaller number is a new worker's.
  #count(module, version) {
    const key = `${module} ${version.hash}`, slot = Math.floor(Date.now() / SQUARE_MSEC);
    const {requests = 0, errors = 0} = version;
    const last = this.#rates.get(key);
    if (!last) {
      this.#rates.set(key, {requests, errors, squares: new Map()});
      return;
    }
    const anew = requests < last.requests;
    const square = last.squares.get(slot) ?? {requests: 0, errors: 0};
    square.requests += requests - (anew ? 0 : last.requests);
    square.errors += Math.max(0, errors - (anew ? 0 : last.errors));
    last.squares.set(slot, square);
    Object.assign(last, {requests, errors});
    for (const old of last.squares.keys()) if (old <= slot - SQUARES) last.squares.delete(old);
  }

  squares(module, hash) {
    const now = Math.floor(Date.now() / SQUARE_MSEC), rate = this.#rates.get(`${module} ${hash}`);
    return Array.from({length: SQUARES}, (_, i) => rate?.squares.get(now - SQUARES + 1 + i) ?? {requests: 0, errors: 0});
  }

  points(module, rollout) {
    return this.#points.get(`${module} ${rollout}`) ?? [];
  }

  // Adds the looks that the journal has, once for each rollout: `ask` fetches them.
  async addRecords(module, rollout, ask) {
    const key = `${module} ${rollout}`;
    if (this.#recorded.has(key)) return;
    this.#recorded.add(key);
    try {
      this.addPoints(module, rollout, await ask());
    } catch (error) {
      this.#recorded.delete(key);
      throw error;
    }
  }

  addPoints(module, rollout, points) {
    const key = `${module} ${rollout}`;
    const all = [...this.points(module, rollout), ...points].sort((a, b) => a.at - b.at);
    this.#points.set(key, all.length > POINTS_MAX ? all.filter((_, i) => i % 2 === 0 || i === all.length - 1) : all);
  }
}
