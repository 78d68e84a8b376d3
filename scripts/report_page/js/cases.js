// The list of cases of the chosen run.

let showCasesOf = () => {};  // set by casesSection: shows the cases of one op

/** The reason, or what stands for it in a case without one. */
function reasonText(c) {
  return c.reason || c.findings.map((f) => f.check).join(', ') ||
      (c.outputs.length === 0 && c.verdict === 'passed' ? 'no output to compare' : '');
}

/** Whether the case is one of the chosen verdict: "" (all), "differs", "change:new", or a verdict. */
function hasVerdict(c, chosen) {
  if (chosen === 'differs') return c.differs;
  return chosen === '' || c.verdict === chosen || 'change:' + c.change === chosen;
}

function casesSection(run, verdicts) {
  const anyDiffers = run.cases.some((c) => c.differs);
  const wanted = {words: [], verdict: anyDiffers ? 'differs' : '', op: ''};
  const table = new SortedTable({
    caption: 'Cases',
    step: 100,
    columns: [
      {label: 'case', value: (c) => c.id, cell: caseButton},
      {label: 'verdict', value: (c) => verdicts.indexOf(c.verdict), cell: (c) => verdictBadge(c.verdict)},
      {label: 'outside', number: true, value: (c) => c.violations},
      {
        label: 'error/bound',
        number: true,
        value: (c) => (c.bounded ? c.tightness : -1),
        cell: (c) => (c.bounded ? short(c.tightness) : '–')
      },
      {
        label: 'reason',
        value: reasonText,
        cell: (c) => el(
            'span', {class: 'reason'}, reasonText(c).length > 160 ? reasonText(c).slice(0, 159) + '…' : reasonText(c))
      },
    ],
  });
  const update = () => {
    const rows = run.cases.filter((c) => {
      if (wanted.op && c.op !== wanted.op) return false;
      if (!hasVerdict(c, wanted.verdict)) return false;
      if (wanted.words.length === 0) return true;
      c.searched ??= `${c.id}\n${c.reason}`.toLowerCase();
      return wanted.words.every((w) => c.searched.includes(w));
    });
    table.update(rows, `${rows.length.toLocaleString('en')} of ${countOf(run.cases.length, 'case')}`);
  };
  const present = verdicts.filter((v) => run.counts[v] > 0).map((v) => [v, `${v} (${run.counts[v]})`]);
  const changes = [...groupBy(run.cases.filter((c) => c.change), (c) => c.change)].map(
      ([change, list]) => ['change:' + change, `change: ${change} (${list.length})`]);
  const verdictChoice = choice(
      'Verdict', [['differs', 'differs: failed, error or mistrusted'], ['', 'all'], ...present, ...changes],
      wanted.verdict, (v) => {
        wanted.verdict = v;
        update();
      });
  const opChoice = choice('Op', [['', 'all'], ...run.ops.map((r) => [r.op, r.op])], '', (op) => {
    wanted.op = op;
    update();
  });
  showCasesOf = (op) => {
    wanted.op = opChoice.querySelector('select').value = op;
    if (!run.cases.some((c) => c.op === op && c.differs))
      wanted.verdict = verdictChoice.querySelector('select').value = '';
    update();
    document.getElementById('cases-title').focus();
    document.getElementById('cases-title').scrollIntoView();
  };
  update();
  return section(
      'cases', 'Cases',
      el('p', {},
         'Choose a case to see what differs and the command that tries it again. ' +
             '“outside” counts elements outside their tolerance.'),
      el('div', {class: 'filters'}, searchField('Search ids and reasons', (words) => {
           wanted.words = words;
           update();
         }), verdictChoice, opChoice), table.element);
}
