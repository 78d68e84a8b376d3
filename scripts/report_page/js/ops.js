// The table of ops of the chosen run.

// What differs comes first, so that a narrow screen shows it.
const COLUMN_ORDER = ['failed', 'error', 'mistrusted', 'known', 'passed', 'unsupported', 'skipped'];

function opsSection(run) {
  const columns = [
    {
      label: 'op',
      value: (r) => r.op,
      cell: (r) => el('button', {type: 'button', class: 'link', 'data-op': r.op, click: () => openOp(run, r.op)}, r.op)
    },
    ...COLUMN_ORDER.filter((v) => run.counts[v] > 0).map((v) => ({
                                                           label: v,
                                                           number: true,
                                                           value: (r) => r[v],
                                                           cell: (r) =>
                                                               (r[v] > 0 ? el('span', {class: 'v-' + v},
                                                                              `${VERDICT_SIGNS[v]} ${r[v]}`) :
                                                                           el('span', {class: 'zero'}, '0')),
                                                         })),
    {label: 'cases', number: true, value: (r) => r.total},
    {label: 'error/bound', number: true, value: (r) => r.tightness ?? -1, cell: (r) => shortOrNone(r.tightness)},
  ];
  if (run.ops.some((r) => r.bitsCompared > 0)) {
    columns.push({
      label: 'same bits',
      number: true,
      value: (r) => (r.bitsCompared ? r.sameBits / r.bitsCompared : -1),
      cell: (r) => (r.bitsCompared ? `${r.sameBits} of ${r.bitsCompared}` : '–')
    });
  }
  const table =
      new SortedTable({caption: 'Ops, with the number of cases of each verdict', columns, sort: 0, step: 200});
  const wanted = {words: [], differing: false};
  const update = () => {
    const rows = run.ops.filter(
        (r) => (!wanted.differing || r.differing > 0) && wanted.words.every((w) => r.op.toLowerCase().includes(w)));
    table.update(rows, `${rows.length} of ${countOf(run.ops.length, 'op')}`);
  };
  update();
  return section(
      'ops', 'Ops',
      el('p', {},
         'Choose an op to see its errors. ' +
             '“error/bound” is the largest ratio of error to bound in its passed cases; ' +
             '“–” says that no case with a bound passed: all outputs are compared bit by bit or by an interval, ' +
             'or no such case ran and agreed.'),
      el('div', {class: 'filters'}, searchField('Search ops', (words) => {
           wanted.words = words;
           update();
         }), checkbox('only ops that differ', false, (on) => {
           wanted.differing = on;
           update();
         })), table.element, el('div', {id: 'op'}));
}
