// One case in a dialog: what differs, both values with their bits, where, and the command that tries it again.

/** The bits of "1.5 (0x3fc0)" as text of 0 and 1; null if the text has none. */
function bitsOf(text) {
  const match = /\(0x([0-9a-f]{1,16})\)$/.exec(text);
  return match && [...match[1]].map((digit) => parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
}

/** Bits in groups of four. Bits that the other side has differently are marked, and not by colour alone. */
function bitPattern(bits, others) {
  const code = el('code', {class: 'bits'});
  for (let i = 0; i < bits.length; i++) {
    if (i > 0 && i % 4 === 0) code.append(' ');
    code.append(others && others.length === bits.length && others[i] !== bits[i] ? el('mark', {}, bits[i]) : bits[i]);
  }
  return code;
}

function elementTable(name, element, output, against) {
  const got = bitsOf(element.got);
  const want = bitsOf(element.want);
  const shared = got && want && got.length === want.length;
  const count = shared ? [...got].filter((bit, i) => bit !== want[i]).length : 0;
  const side =
      (label, text, bits, others) => [label, el('span', {class: 'value'}, text), bits ? bitPattern(bits, others) : '–'];
  return el(
      'div', {},
      scrolling(
          `${name} differing element`,
          plainTable(
              `${name} differing element, at [${element.at.join(', ')}]`, ['side', 'value', 'bits'],
              [
                side(`old (${against})`, element.want, want, got),
                side('new (set under test)', element.got, got, want),
              ])),
      el('p', {class: 'facts'},
         `error ${short(element.error)}, ${output.tolerance === 'interval' ? 'width of the interval' : 'allowed'} ${
             short(element.bound)}` +
             (shared ? `, ${countOf(count, 'bit differs', 'bits differ')}` : '')));
}

function outputsTable(c) {
  const rows = c.outputs.map(
      (o) =>
          [o.name, o.tolerance, (o.compared ?? 0).toLocaleString('en'), (o.different ?? 0).toLocaleString('en'),
           (o.violations ?? 0).toLocaleString('en'), o.tolerance === 'bound' ? short(errorOverBound(o)) : '–', [
             o.bits?.ulp && `allowed ones at most ${o.bits.ulp.toLocaleString('en')} ulp away`,
             o.excused && `${o.excused} excused by ${o.excused_by}`,
             o.certified && `${o.certified} certified alternatives`,
             o.recorded !== undefined && `recorded error/bound ${short(o.recorded)}`
           ].filter(Boolean).join('; ')]);
  return scrolling(
      'Outputs',
      plainTable(
          'Outputs', ['output', 'tolerance', 'compared', 'other bits', 'outside the tolerance', 'error/bound', 'notes'],
          rows));
}

function outputParts(c) {
  return c.outputs.filter((o) => o.first || o.worst || o.places).flatMap((o) => {
    const same = o.first && o.worst && JSON.stringify(o.first) === JSON.stringify(o.worst);
    const noMap = o.dropped ?
        'The map of this case was left out, to keep the page small; a page of fewer results has it.' :
        'This results file does not say where the elements differ, except for the first and the worst.';
    return [
      el('h3', {}, 'Output ', el('code', {}, o.name)), el('p', {class: 'facts'}, o.reason),
      o.first && elementTable(same ? 'First and worst' : 'First', o.first, o, c.run.against),
      o.worst && !same && elementTable('Worst', o.worst, o, c.run.against),
      o.places ? placesMap(o) : el('p', {class: 'notice'}, noMap)
    ];
  });
}

const CONFIRMED = {
  alone: 'It differs again when it runs alone in a new process.',
  sequence: 'It depends on earlier calls: it agrees alone, and differs after the cases of the command.',
  not_again: 'It failed once and not again, neither alone nor after the cases before it.',
  not_tried: 'It was not tried again, so the command may agree.',
};

function factsOf(c) {
  const facts = [
    ['set', `${c.run.name} (${c.run.device})`], ['against', c.run.against], ['op', c.op],
    ['scenario', scenarioOf(c.id)], ['change', c.change], ['cause', c.cause], ['known fault', c.known_fault],
    ['not excused', c.not_excused], ['seconds', c.seconds ? short(c.seconds) : ''], ['note', c.note]
  ];
  return el(
      'dl', {class: 'facts'},
      facts.filter(([, value]) => value).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

function openCase(c) {
  const dialog = document.getElementById('case');
  const opener = document.activeElement;
  const close = el('button', {type: 'button', class: 'close', click: () => dialog.close()}, 'Close');
  dialog.replaceChildren(
      el('div', {class: 'bar'},
         el('h2', {id: 'case-title', tabindex: '-1'}, verdictBadge(c.verdict), ' ', el('code', {}, c.id)), close),
      c.reason ? el('p', {class: 'reason'}, c.reason) : null, c.command ? commandBox(c.command) : null,
      c.differs && c.confirmed ? el('p', {}, CONFIRMED[c.confirmed] ?? c.confirmed) : null,
      ...(c.findings.length ?
              [
                el('h3', {}, 'Findings'),
                el('ul', {}, c.findings.map((f) => el('li', {}, el('strong', {}, f.check), ': ', f.detail)))
              ] :
              []),
      ...(c.told ? [el('ul', {}, c.told.map((text) => el('li', {}, text)))] : []), factsOf(c),
      c.outputs.length ? outputsTable(c) : el('p', {}, 'No output was compared.'), ...outputParts(c));
  history.replaceState(null, '', `#case=${c.run.index}/${encodeURIComponent(c.id.replace(/\p{Cs}/gu, '\ufffd'))}`);
  dialog.onclose = () => {
    history.replaceState(null, '', location.pathname + location.search);
    dialog.replaceChildren();
    if (opener?.isConnected) opener.focus();
  };
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById('case-title').focus();
}

/** A button with a case's id, which opens the case. */
function caseButton(c) { return el('button', {type: 'button', class: 'link id', click: () => openCase(c)}, c.id); }

/** Opens the case that the address names, as in "#case=0/topk_v1%2Fk%3D4". */
function openCaseOfAddress(data) {
  const match = /^#case=(\d+)\/(.+)$/.exec(location.hash);
  if (!match) return;
  try {
    const found = data.runs[Number(match[1])]?.byId.get(decodeURIComponent(match[2]));
    if (found) openCase(found);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
}
