/* Colour fields take a colour when it is written to the end, in any form that a browser knows. viser 0.2 takes whatever
   is written as three pairs of digits, letter by letter: red was never red, and a banana nearly black. */
(() => {
  if (window.colorsAreWhole) return;
  window.colorsAreWhole = true;
  const SHOWN = 6000;
  const writing = new WeakMap(); /* of a field that somebody writes into, what it showed before, and its property */
  const native = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
  const pen = document.createElement('canvas').getContext('2d');
  const isColorField = element => element.classList && element.classList.contains('mantine-ColorInput-input');

  const asWritten = (text, like) => {
    if (!CSS.supports('color', text)) return null;
    pen.fillStyle = text;
    if (!/^#[0-9a-f]{6}$/.test(pen.fillStyle)) return null;
    const channels = [1, 3, 5].map(start => parseInt(pen.fillStyle.slice(start, start + 2), 16));
    return like.startsWith('rgb') ? `rgb(${channels.join(', ')})` : pen.fillStyle;
  };

  const say = (field, sentence) => {
    const note = document.createElement('div'), place = field.getBoundingClientRect();
    note.className = 'dn-note';
    note.role = 'alert';
    note.textContent = sentence;
    note.style.bottom = `${innerHeight - place.top + 4}px`;
    document.body.append(note);
    setTimeout(() => note.remove(), SHOWN);
  };

  /* the page would show the old colour again whenever it draws the field anew */
  const hold = field => {
    writing.set(field, {old: field.value, own: Object.getOwnPropertyDescriptor(field, 'value') || native});
    Object.defineProperty(field, 'value', {configurable: true, get: native.get, set: () => {}});
  };

  const take = field => {
    if (!writing.has(field)) return;
    const {old, own} = writing.get(field), text = field.value.trim(), color = asWritten(text, old);
    writing.delete(field);
    Object.defineProperty(field, 'value', own);
    native.set.call(field, color || old);
    if (color) field.dispatchEvent(new Event('input', {bubbles: true}));
    else say(field, `"${text.slice(0, 40)}" is no colour, so it stays as it was; write red, or #ff0000, for example.`);
  };

  const listen = (event, react) => window.addEventListener(event, told => {
    if (isColorField(told.target)) react(told.target, told);
  }, true);
  const whileWriting = (event, react) => listen(event, (field, told) => writing.has(field) && react(field, told));
  listen('beforeinput', field => writing.has(field) || hold(field));
  whileWriting('input', (field, told) => told.stopImmediatePropagation());
  whileWriting('change', (field, told) => told.stopImmediatePropagation());
  whileWriting('keydown', (field, told) => told.key === 'Enter' && take(field));
  whileWriting('focusout', field => setTimeout(() => take(field))); /* viser puts its last colour back first */
})();
