// The error over each shape parameter: one plot for each parameter that has several values.

const MEASURES = {
  tightness: {text: 'error/bound', of: (c) => c.tightness, needs: (cases) => cases.some((c) => c.bounded)},
  violations: {
    text: 'share of elements outside the tolerance',
    of: (c) => (c.compared ? c.violations / c.compared : 0),
    needs: (cases) => cases.some((c) => c.violations > 0)
  },
  different: {
    text: 'share of elements with other bits',
    of: (c) => (c.compared ? c.different / c.compared : 0),
    needs: () => true
  },
};
const MOST_POINTS = 3000;

/** Cases with outputs, by the value of the parameter. */
function byValue(cases, name) {
  const groups = groupBy(cases, (c) => c.parameters.get(name));
  groups.delete(undefined);
  return [...groups].sort((a, b) => compareValues(a[0], b[0]));
}

function parameterPlot(name, groups, measure) {
  const numeric = groups.every(([value]) => /^-?\d+(\.\d+)?$/.test(value));
  const finite = (c) => (Number.isFinite(measure.of(c)) ? measure.of(c) : null);
  const undefinedCases = groups.map(([, cases]) => cases.filter((c) => finite(c) === null).length);
  const missing = undefinedCases.reduce((a, b) => a + b, 0);
  const most = groups.map(([, cases]) => Math.max(...cases.map((c) => finite(c) ?? 0)));
  const total = groups.reduce((n, [, cases]) => n + cases.length, 0);
  const highest = Math.max(...most);
  const x = (value) => (numeric ? Number(value) : forPlotly(value, 24));
  const values = groups.map(([value]) => Number(value));
  const wide = numeric && Math.min(...values) > 0 && Math.max(...values) >= 50 * Math.min(...values);
  const at = groups[most.indexOf(highest)][0];
  return figure({
    title: `${name}:`,
    height: 210,
    summary: `largest ${measure.text} ${short(highest)}, at ${name}=${at}.` +
        (missing > 0 ? ` ${countOf(missing, 'case')} without a defined value are drawn as crosses at the top.` : '') +
        (highest > 3 ? ' The axis is logarithmic, so values of 0 are not drawn.' : ''),
    table: {
      heads: [name, 'cases', 'largest', 'median', 'undefined'],
      rows: groups.map(([value, cases], i) => {
        const sorted = cases.map(finite).filter((y) => y !== null).sort((a, b) => a - b);
        return [
          value, cases.length, short(most[i]), sorted.length ? short(sorted[Math.floor(sorted.length / 2)]) : '–',
          undefinedCases[i]
        ];
      })
    },
    make: (c) => {
      const points = total <= MOST_POINTS ?
          groups.flatMap(([value, cases]) => cases.map((k) => ({x: x(value), y: finite(k), k}))) :
          [];
      const kinds = [
        ['agree', points.filter((p) => !p.k.differs), c.main, 'circle'],
        ['differ', points.filter((p) => p.k.differs), c.bad, 'x']
      ];
      return {
        data: [
          ...kinds.filter(([, list]) => list.length > 0).map(([label, list, color, symbol]) => ({
                                                               type: 'scatter',
                                                               mode: 'markers',
                                                               name: label,
                                                               x: list.map((p) => p.x),
                                                               y: list.map((p) => p.y),
                                                               hoverinfo: 'text',
                                                               hovertext: list.map(
                                                                   (p) => `${forPlotly(p.k.id, 90)}<br>${short(p.y)}`),
                                                               marker: {color, symbol, size: 6, opacity: 0.55},
                                                             })),
          ...(missing > 0 ? [{
            type: 'scatter',
            mode: 'markers',
            name: 'undefined',
            x: groups.filter((_, i) => undefinedCases[i] > 0).map(([v]) => x(v)),
            y: undefinedCases.filter((n) => n > 0).map(() => 0.97),
            yaxis: 'y2',
            hoverinfo: 'text',
            hovertext: undefinedCases.filter((n) => n > 0).map((n) => countOf(n, 'case')),
            marker: {symbol: 'x-thin-open', size: 10, color: c.bad, line: {width: 2}}
          }] :
                            []),
          {
            type: 'scatter',
            mode: 'lines+markers',
            name: 'largest',
            x: groups.map(([v]) => x(v)),
            y: most,
            line: {color: c.other, width: 2},
            marker: {symbol: 'diamond-open', size: 8},
            hoverinfo: 'x+y'
          },
        ],
        layout: {
          showlegend: true,
          margin: {t: 30},
          xaxis: {title: {text: forPlotly(name)}, type: numeric ? (wide ? 'log' : 'linear') : 'category'},
          yaxis: {
            title: {text: measure === MEASURES.tightness ? 'error/bound' : 'share'},
            rangemode: 'tozero',
            ...(highest > 3 ? {type: 'log'} : {})
          },
          ...(missing > 0 ? {yaxis2: {overlaying: 'y', range: [0, 1], visible: false, fixedrange: true}} : {}),
          shapes: measure === MEASURES.tightness && highest > 0.5 ? [{
            type: 'line',
            xref: 'paper',
            x0: 0,
            x1: 1,
            y0: 1,
            y1: 1,
            line: {color: c.bad, dash: 'dash', width: 1}
          }] :
                                                                    [],
        },
      };
    },
  });
}

/** The part of an op's section about its parameters. */
function parametersPart(cases) {
  const tried = cases.filter((c) => c.compared > 0);
  const names = new Set();
  for (const c of tried) {
    c.parameters ??= new Map(parametersOf(c.id));
    for (const name of c.parameters.keys()) names.add(name);
  }
  const available = Object.entries(MEASURES).filter(([, m]) => m.needs(tried));
  const grid = el('div', {class: 'plots'});
  const show = (key) => {
    const plots = [...names].map((name) => [name, byValue(tried, name)]).filter(([, groups]) => groups.length > 1);
    grid.replaceChildren(...plots.map(([name, groups]) => parameterPlot(name, groups, MEASURES[key])));
    if (plots.length === 0)
      grid.replaceChildren(el('p', {}, 'No parameter has several values in the cases that compared elements.'));
  };
  const chosen = available[0][0];
  show(chosen);
  return [
    el('h4', {}, 'Error over each parameter'), choice('Show', available.map(([key, m]) => [key, m.text]), chosen, show),
    grid
  ];
}
