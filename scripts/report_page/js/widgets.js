// Parts that several sections use: sections, badges, labelled inputs, and tables that sort.

function section(id, title, ...children) {
  return el(
      'section', {id, 'aria-labelledby': id + '-title'}, el('h2', {id: id + '-title', tabindex: '-1'}, title),
      ...children);
}

function verdictBadge(verdict) {
  return el(
      'span', {class: 'badge v-' + verdict}, el('span', {'aria-hidden': 'true'}, VERDICT_SIGNS[verdict] ?? ''),
      ' ' + verdict);
}

let lastId = 0;

/** A label with its input, select or other control. */
function labelled(text, control) {
  control.id ||= 'control-' + ++lastId;
  return el('div', {class: 'field'}, el('label', { for: control.id
            }, text), control);
}

/** A list of choices. `choices` are [value, text] pairs. */
function choice(label, choices, chosen, onChange) {
  const select = el('select', {change: () => onChange(select.value)});
  for (const [value, text] of choices) select.append(el('option', {value, selected: value === chosen}, text));
  return labelled(label, select);
}

/** A text field for searching; `onChange` gets the words in lower case. */
function searchField(label, onChange) {
  const input = el('input', {type: 'search', autocomplete: 'off', spellcheck: 'false'});
  input.addEventListener('input', () => onChange(input.value.toLowerCase().split(/\s+/).filter(Boolean)));
  return labelled(label, input);
}

function checkbox(label, checked, onChange) {
  const input = el('input', {type: 'checkbox', change: () => onChange(input.checked)});
  input.checked = checked;
  return el('label', {class: 'check'}, input, ' ' + label);
}

/** A region that scrolls sideways, also by keyboard. */
function scrolling(label, ...children) {
  return el('div', {class: 'scrolling', tabindex: '0', role: 'region', 'aria-label': label}, ...children);
}

function compareValues(a, b) {
  if (typeof a === 'string' || typeof b === 'string') return String(a).localeCompare(String(b), 'en', {numeric: true});
  return (Number.isNaN(a) ? Infinity : a) - (Number.isNaN(b) ? Infinity : b) || 0;
}

/**
 * A table with sort buttons in its head. `columns` have a `label`, `value(row)` for sorting, and `cell(row)` for what
 * is shown (default: the value); `number` aligns right. `step` rows are shown, and a button shows as many more.
 * `first` is the row that the first column's header belongs to.
 */
class SortedTable {
  constructor({caption, columns, sort = null, down = false, step = 100}) {
    Object.assign(this, {columns, sort, down, step, shown: step, rows: []});
    this.body = el('tbody');
    this.heads = columns.map((column, i) => {
      const button =
          el('button', {type: 'button', class: 'sort', click: () => this.sortBy(i)}, column.label,
             el('span', {class: 'arrow', 'aria-hidden': 'true'}));
      return el('th', {scope: 'col', class: column.number ? 'number' : null}, button);
    });
    this.more = el('button', {type: 'button', click: () => this.showMore()});
    this.status = el('p', {class: 'status', role: 'status'});
    const table = el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, this.heads)), this.body);
    this.element = el('div', {class: 'table'}, this.status, scrolling(caption, table), this.more);
  }

  sortBy(i) {
    this.down = this.sort === i ? !this.down : Boolean(this.columns[i].number);
    this.sort = i;
    this.draw();
    announce(`sorted by ${this.columns[i].label}, ${this.down ? 'largest first' : 'smallest first'}`);
  }

  /** Shows other rows. `status` is the line above the table. */
  update(rows, status) {
    this.rows = rows;
    this.shown = this.step;
    this.status.textContent = status;
    this.draw();
  }

  showMore() {
    const before = this.shown;
    this.shown += this.step;
    this.draw();
    this.body.rows[before]?.querySelector('button, a')?.focus();
  }

  draw() {
    const rows = [...this.rows];
    if (this.sort !== null) {
      const value = this.columns[this.sort].value;
      rows.sort((a, b) => (this.down ? compareValues(value(b), value(a)) : compareValues(value(a), value(b))));
    }
    this.heads.forEach((head, i) => {
      head.setAttribute('aria-sort', i === this.sort ? (this.down ? 'descending' : 'ascending') : 'none');
      head.querySelector('.arrow').textContent = i === this.sort ? (this.down ? ' ▼' : ' ▲') : '';
    });
    this.body.replaceChildren(
        ...rows.slice(0, this.shown).map((row) => el('tr', {}, this.columns.map((column, i) => {
                                           const content = column.cell ? column.cell(row) :
                                               column.number           ? short(column.value(row)) :
                                                                         column.value(row);
                                           return i === 0 ? el('th', {scope: 'row'}, content) :
                                                            el('td', {class: column.number ? 'number' : null}, content);
                                         }))));
    const rest = rows.length - this.shown;
    this.more.hidden = rest <= 0;
    this.more.textContent =
        rest > 0 ? `Show ${Math.min(rest, this.step)} more (${rest.toLocaleString('en')} left)` : '';
  }
}

/** A plain table: `rows` are lists of cells, the first of which is the row's header. */
function plainTable(caption, heads, rows) {
  return el(
      'table', {}, el('caption', {}, caption),
      el('thead', {}, el('tr', {}, heads.map((head) => el('th', {scope: 'col'}, head)))),
      el('tbody', {},
         rows.map(
             (row) =>
                 el('tr', {}, row.map((cell, i) => (i === 0 ? el('th', {scope: 'row'}, cell) : el('td', {}, cell)))))));
}

/** Copies text. A page of a file may have no clipboard, so the text is selected and copied as a second way. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el('textarea', {class: 'unseen', 'aria-hidden': 'true'});
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** A command with a button that copies it. */
function commandBox(command) {
  const button = el('button', {type: 'button', class: 'copy'}, 'Copy command');
  button.addEventListener('click', async () => {
    const done = await copyText(command);
    button.textContent = done ? 'Copied' : 'Not copied: select the text';
    announce(button.textContent);
    button.focus();
    setTimeout(() => {
      button.textContent = 'Copy command';
    }, 3000);
  });
  return el('div', {class: 'command'}, scrolling('Command', el('pre', {}, el('code', {}, command))), button);
}
