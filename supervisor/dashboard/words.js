// Numbers and states in words. Pure.

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']];

export function duration(usec) {
  let seconds = Math.floor(usec / 1e6);
  if (seconds < 1) return `${Math.round(usec / 1000)}ms`;
  const parts = [];
  for (const [size, unit] of UNITS)
    if (seconds >= size && parts.length < 2) {
      parts.push(`${Math.floor(seconds / size)}${unit}`);
      seconds %= size;
    } else if (parts.length) break;
  return parts.join(' ');
}

export function age(at, now = Date.now()) {
  return at ? `${duration(Math.max(0, now - Date.parse(at)) * 1000)} ago` : '';
}

export function count(n) {
  return Number(n).toLocaleString('en');
}

export function plural(n, word) {
  return `${count(n)} ${word}${n === 1 ? '' : 's'}`;
}

export function percent(share, digits = 2) {
  return share === null ? '?' : `${(100 * share).toFixed(digits)} %`;
}

export function weight(n) {
  return `${Number(n.toFixed(2))} %`;
}

export function milliseconds(nsec) {
  if (nsec === null) return '?';
  const ms = nsec / 1e6;
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
}

export function step(s) {
  if (s.weight !== undefined) return `weight ${weight(s.weight)}`;
  if (s.shadow !== undefined) return `shadow ${weight(s.shadow)}`;
  if (s.analysis) return 'analysis';
  const of = [s.pause.duration, s.pause.requests && plural(s.pause.requests, 'request')].filter(Boolean);
  return of.length ? `pause of ${of.join(' and ')}` : 'pause until promote';
}

const HOLDS = {
  undecided: 'until the verdict is Successful',
  'bad-stable': 'until a person decides: stable is bad too',
  failure: 'until a person decides: it failed',
  'one-way': 'until a person agrees: there is no way back',
};

export function pause(rollout) {
  if (rollout.held_by) return `held by ${rollout.held_by}`;
  const p = rollout.pause;
  if (!p) return '';
  if (HOLDS[p.hold]) return HOLDS[p.hold];
  if (p.gate) return 'until promote';
  return [p.left_usec && `${duration(p.left_usec)} left`, p.requests_left && `${plural(p.requests_left, 'request')} left`].filter(Boolean).join(', ');
}

export const isInProgress = (module) => Array.isArray(module.rollout?.steps);

export function where(module) {
  const r = module.rollout;
  if (!isInProgress(module)) return module.phase;
  if (r.phase === 'Baking') return `${module.phase}: baking, ${duration(r.bake_left_usec)} left`;
  if (!r.n_steps) return `${module.phase}: ${r.phase}`;
  return `${module.phase}: step ${Math.min(r.step + 1, r.n_steps)} of ${r.n_steps}`;
}

// How far its rollout is, of 1.
export function progress(module) {
  const r = module.rollout;
  if (!isInProgress(module)) return 1;
  if (r.phase === 'Baking') return r.bake_usec ? 1 - Math.min(1, r.bake_left_usec / r.bake_usec) / 4 : 1;
  return r.n_steps ? (0.75 * Math.min(r.step, r.n_steps)) / r.n_steps : 0.1;
}

export function versionsOf(module) {
  return ['candidate', 'stable', 'previous'].filter((role) => module[role]).map((role) => ({...module[role], role}));
}

export function split(module) {
  const c = module.candidate, r = module.rollout;
  if (!c) return {share: 0, text: `100 % to ${module.stable?.version ?? 'nobody'}`};
  const seen = r.weight_observed === null || r.weight_observed === undefined ? '' : `, observed ${r.weight_observed.toFixed(2)} %`;
  const shadow = r.shadow ? `, ${weight(r.shadow)} shadowed` : '';
  return {share: c.weight / 100, text: `${weight(c.weight)} to ${c.version}${seen}${shadow}`};
}

export function interfacesOf(contract) {
  return contract ? contract.provides.map((i) => `${i.name} ${i.version} (${i.methods.join(', ')})`).join('; ') : null;
}
