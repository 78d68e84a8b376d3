// Text, numbers and elements. Text of results never becomes HTML: el() makes text nodes of it.

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/gu;

/** `text` with control characters and invisible characters written as \uNNNN. */
function visible(text) {
  return String(text).replace(INVISIBLE, (c) => '\\u' + c.codePointAt(0).toString(16).padStart(4, '0'));
}

/** Text for Plotly, which would take "<b>" and "&amp;" as markup. Long text is cut. */
function forPlotly(text, most = 60) {
  const shown = visible(text);
  const cut = shown.length > most ? shown.slice(0, most - 1) + '…' : shown;
  return cut.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** A new element. Attributes that are functions are event handlers; false and null leave an attribute out. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function')
      element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(child));
  }
  return element;
}

/** A number of a results file, which writes NaN and infinities as words. */
function number(value) {
  return value === 'nan' ? NaN : value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value ?? 0;
}

/** At most three significant digits: "0.31", "1.2e-7", "12300". */
function short(value) {
  const x = number(value);
  if (!Number.isFinite(x)) return Number.isNaN(x) ? 'undefined' : x > 0 ? '∞' : '−∞';
  if (Number.isInteger(x) && Math.abs(x) < 1e7) return String(x);
  const size = Math.abs(x);
  return size >= 1e6 || size < 1e-3 ? x.toExponential(1) : String(Number(x.toPrecision(3)));
}

/** The same; "–" for null, which is a value that does not exist. */
function shortOrNone(value) { return value === null ? '–' : short(value); }

/** "1 case", "2 cases". */
function countOf(n, singular, plural = singular + 's') {
  return `${n.toLocaleString('en')} ${n === 1 ? singular : plural}`;
}

/** Tells a screen reader what happened. */
function announce(text) {
  const place = document.getElementById('announcer');
  place.textContent = '';
  setTimeout(() => {
    place.textContent = visible(text);
  }, 50);
}
