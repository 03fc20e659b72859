/* Colour fields take a colour when it is written to the end, in any form that a browser knows. viser 0.2 takes whatever
   is written as three pairs of digits, letter by letter: red was never red, and a banana nearly black. */
(() => {
  if (window.colorsAreWhole) return;
  window.colorsAreWhole = true;
  const SHOWN = 6000;
  const before = new WeakMap();
  const write = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
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

  const take = (field, text) => {
    const old = before.get(field), color = asWritten(text, old);
    before.delete(field);
    write.call(field, color || old);
    if (color) field.dispatchEvent(new Event('input', {bubbles: true}));
    else say(field, `"${text.slice(0, 40)}" is no colour, so it stays as it was; write red, or #ff0000, for example.`);
  };

  const whileWritten = (event, react) => window.addEventListener(event, told => {
    if (before.has(told.target)) react(told, told.target, told.target.value.trim());
  }, true);
  window.addEventListener('beforeinput', ({target}) => {
    if (isColorField(target) && !before.has(target)) before.set(target, target.value);
  }, true);
  whileWritten('input', told => told.stopImmediatePropagation());
  whileWritten('change', told => told.stopImmediatePropagation());
  whileWritten('keydown', (told, field, text) => told.key === 'Enter' && take(field, text));
  /* a field that is left puts its last colour back first */
  whileWritten('focusout', (told, field, text) => setTimeout(() => before.has(field) && take(field, text)));
})();
