// Making and changing elements. Whatever comes from a module or a document goes in as text.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {}))
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Leaves alone what is so already: a screen reader, a selection and the layout notice each change.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// The children of `parent` become one per item, in order. make(item) returns {node, update(item)}; what was made for a key is kept.
export function sync(parent, items, key, make) {
  const made = (parent.grayling ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [k, part] of made)
    if (!wanted.has(k)) {
      part.node.remove();
      made.delete(k);
    }
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    if (!made.has(k)) made.set(k, make(item));
    const part = made.get(k);
    part.update(item);
    if (part.node === at) at = at.nextElementSibling;
    else parent.insertBefore(part.node, at);
  }
}

// Pairs of a term and what it is; those without a value are left out.
export function facts() {
  const node = el('dl', {class: 'facts'});
  const make = () => {
    const term = el('dt'), value = el('dd');
    return {
      node: el('div', {}, term, value),
      update([name, text]) {
        setText(term, name);
        setText(value, String(text));
      },
    };
  };
  return {
    node,
    update(pairs) {
      sync(node, pairs.filter(([, text]) => text !== null && text !== undefined && text !== ''), ([name]) => name, make);
    },
  };
}
