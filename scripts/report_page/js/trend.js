// Several results of the same set against the same other side, in the order of the command line.

/** Runs that belong together: the same set, other side and baseline, of different files. */
function trendsOf(runs) {
  const groups = groupBy(runs, (run) => JSON.stringify([run.name, run.against, run.baseline]));
  return [...groups.values()].filter((list) => list.length > 1);
}

function fileName(path) { return path.split('/').pop(); }

function statistics(run) {
  const differing = DIFFERENCES.reduce((n, verdict) => n + run.counts[verdict], 0);
  const ran = run.cases.length - run.counts.unsupported - run.counts.skipped;
  return {differing, ran, tightness: passedTightness(run.cases), known: run.counts.known};
}

const NOT_RUN = ['unsupported', 'skipped'];

/** What changed between two runs, case by case. A case that did not run, or has a known fault, is not one that agrees. */
function changesBetween(before, after) {
  const lists = {
    'Cases that now differ': [],
    'Cases that no longer differ': [],
    'Cases that differed before and are now excused by a known fault': [],
    'Cases that passed before and now have a known fault': [],
    'Cases that ran before and did not run now': [],
    'Cases that did not run before and ran now': [],
    'Cases that were added': [],
    'Cases that are gone': []
  };
  for (const c of after.cases) {
    const old = before.byId.get(c.id);
    if (!old) {
      lists['Cases that were added'].push(c);
      continue;
    }
    const [ran, ranBefore] = [c, old].map(({verdict}) => !NOT_RUN.includes(verdict));
    if (ranBefore && !ran)
      lists['Cases that ran before and did not run now'].push(c);
    else if (!ranBefore && ran)
      lists['Cases that did not run before and ran now'].push(c);
    if (c.differs && !old.differs)
      lists['Cases that now differ'].push(c);
    else if (c.verdict === 'passed' && (old.differs || old.verdict === 'known'))
      lists['Cases that no longer differ'].push(c);
    else if (c.verdict === 'known' && old.differs)
      lists['Cases that differed before and are now excused by a known fault'].push(c);
    else if (c.verdict === 'known' && old.verdict === 'passed')
      lists['Cases that passed before and now have a known fault'].push(c);
  }
  for (const c of before.cases)
    if (!after.byId.has(c.id)) lists['Cases that are gone'].push(c);
  return lists;
}

function changeList(before, after) {
  const lists = Object.entries(changesBetween(before, after)).filter(([, cases]) => cases.length > 0);
  if (lists.length === 0)
    return el('p', {}, 'The same cases ran, and no case changed between right, wrong and a known fault.');
  return el(
      'ul', {},
      lists.map(
          ([what, cases]) =>
              el('li', {},
                 el('details', {}, el('summary', {}, `${what}: ${cases.length}`),
                    el('ul', {}, cases.slice(0, 50).map((c) => el('li', {}, caseButton(c))),
                       cases.length > 50 && el('li', {}, `and ${cases.length - 50} more`))))));
}

function trendSection(runs, data) {
  const trends = trendsOf(runs);
  if (trends.length === 0) return null;
  return section('trend', 'Trend', ...trends.map((list) => {
    const names = list.map((run, i) => `${i + 1}: ${fileName(data.files[run.file].path)}`);
    const stats = list.map(statistics);
    const title = `${list[0].name} against ${list[0].against}`;
    const rows = list.map(
        (run, i) => [names[i], stats[i].ran, stats[i].differing, stats[i].known, shortOrNone(stats[i].tightness)]);
    return el(
        'div', {}, el('h3', {}, title), figure({
          title: 'Differing cases and error/bound over the results.',
          height: 320,
          summary:
              `Differing cases: ${stats.map((s) => s.differing).join(', ')}. Largest error/bound of the passed cases: ${
                  stats.map((s) => shortOrNone(s.tightness)).join(', ')}.`,
          make: (c) => ({
            data: [
              {
                type: 'bar',
                x: names.map((n) => forPlotly(n, 30)),
                y: stats.map((s) => s.differing),
                width: 0.4,
                text: stats.map((s) => String(s.differing)),
                textposition: 'outside',
                cliponaxis: false,
                marker: {color: c.bad, pattern: {shape: '/'}},
                hoverinfo: 'x+y'
              },
              {
                type: 'scatter',
                mode: 'lines+markers+text',
                x: names.map((n) => forPlotly(n, 30)),
                y: stats.map((s) => s.tightness),
                yaxis: 'y2',
                text: stats.map((s) => shortOrNone(s.tightness)),
                textposition: 'top center',
                cliponaxis: false,
                line: {color: c.main},
                marker: {size: 9, symbol: 'diamond'},
                hoverinfo: 'x+y'
              },
            ],
            layout: {
              margin: {t: 20},
              xaxis: {type: 'category', range: [-0.6, list.length - 0.4]},
              yaxis: {title: {text: 'differing'}, rangemode: 'tozero', domain: [0.58, 1], nticks: 4},
              yaxis2: {
                title: {text: 'error/bound'},
                rangemode: 'tozero',
                domain: [0, 0.42],
                nticks: 4,
                gridcolor: c.faint,
                fixedrange: true,
                automargin: true
              },
            },
          }),
        }),
        scrolling(
            title,
            plainTable(
                'The results in the order of the command line',
                ['file', 'cases that ran', 'differ', 'known faults', 'largest error/bound'], rows)),
        el('h4', {}, 'What changed'),
        list.slice(1).map(
            (run, i) => el('div', {}, el('p', {}, `From ${names[i]} to ${names[i + 1]}:`), changeList(list[i], run))));
  }));
}
