// Times of `dsv4diff bench`: bars for each shape, and the ratio to the first set.

function timed(shape) { return shape.sets.filter((s) => !s.not_timed); }

/** The ratios of set number `i` to the first set. */
function ratiosOf(bench, i) {
  return bench.shapes.map((shape) => ({shape, times: shape.sets[i]})).filter((r) => r.times?.ratio !== undefined);
}

function ratioPlot(bench, i) {
  const ratios = ratiosOf(bench, i).sort((a, b) => a.times.ratio - b.times.ratio);
  if (ratios.length === 0) return null;
  const mean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r.times.ratio), 0) / ratios.length);
  const [first, other] = [bench.sets[0].name, bench.sets[i].name];
  return figure({
    title: `Time of ${other} / time of ${first}.`,
    summary: `Geometric mean ${mean.toFixed(2)} over ${countOf(ratios.length, 'shape')}; ${
        countOf(ratios.filter((r) => r.times.ratio < 1).length, 'shape')} below 1, where ${other} is faster.`,
    table: {
      heads: ['shape', 'ratio'],
      rows: ratios.map((r) => [`${r.shape.op} ${r.shape.shape}`, r.times.ratio.toFixed(2)])
    },
    make: (c) => ({
      data: [{
        type: 'bar',
        x: ratios.map((_, k) => k),
        y: ratios.map((r) => Math.log2(r.times.ratio)),
        hoverinfo: 'text',
        hovertext:
            ratios.map((r) => `${forPlotly(`${r.shape.op} ${r.shape.shape}`, 90)}<br>${r.times.ratio.toFixed(2)}`),
        marker: {
          color: ratios.map((r) => (r.times.ratio < 1 ? c.bad : c.main)),
          pattern: {shape: ratios.map((r) => (r.times.ratio < 1 ? '/' : ''))}
        }
      }],
      layout: {
        xaxis: {title: {text: 'shapes, by ratio'}, showticklabels: false},
        yaxis: {
          title: {text: 'ratio'},
          zeroline: true,
          zerolinewidth: 2,
          tickvals: [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6],
          ticktext: ['⅛', '¼', '½', '1', '2', '4', '8', '16', '32', '64']
        }
      },
    }),
  });
}

/** Bars of one op: cold times of each set at each shape, with the time and the ratio beside the bar. */
function opBars(bench, op) {
  const shapes = bench.shapes.filter((s) => s.op === op && timed(s).length > 0);
  if (shapes.length === 0) return el('p', {}, `No set was timed for ${op}.`);
  const sets = bench.sets.length;
  const most = Math.max(...shapes.flatMap((s) => timed(s).map((t) => number(t.cold[2]))));
  const label = (t) => `${short(t.cold[0])} µs${t.ratio === undefined ? '' : `, ${t.ratio.toFixed(2)}x`}`;
  return figure({
    title: `${op}: median of cold calls.`,
    height: 110 + shapes.length * (16 + 26 * sets),
    summary: 'The line at a bar goes from the 10th to the 90th percentile. ' +
        'The number before “x” is the time divided by that of the first set.',
    make: (c) => ({
      data: bench.sets.flatMap((set, i) => {
        const points = shapes.map((s, k) => ({t: s.sets[i], s, y: k + (0.8 * (i - (sets - 1) / 2)) / sets}))
                           .filter((p) => p.t && !p.t.not_timed);
        return [
          {
            type: 'bar',
            orientation: 'h',
            name: forPlotly(set.name, 30),
            y: points.map((p) => p.y),
            x: points.map((p) => number(p.t.cold[0])),
            width: 0.72 / sets,
            error_x: {
              type: 'data',
              symmetric: false,
              array: points.map((p) => p.t.cold[2] - p.t.cold[0]),
              arrayminus: points.map((p) => p.t.cold[0] - p.t.cold[1]),
              color: c.text,
              thickness: 1
            },
            hoverinfo: 'text',
            hovertext: points.map((p) => `${forPlotly(set.name)}: ${label(p.t)}<br>${forPlotly(p.s.shape, 90)}`),
            marker: {color: c.series[i % c.series.length], pattern: {shape: ['', '/', '.', 'x'][i % 4]}}
          },
          {
            type: 'scatter',
            mode: 'text',
            showlegend: false,
            y: points.map((p) => p.y),
            x: points.map((p) => number(p.t.cold[2])),
            text: points.map((p) => '  ' + label(p.t)),
            textposition: 'middle right',
            hoverinfo: 'skip',
            cliponaxis: false
          },
        ];
      }),
      layout: {
        showlegend: true,
        barmode: 'overlay',
        margin: {l: 40, t: 40},
        xaxis: {title: {text: 'µs'}, range: [0, most * (NARROW.matches ? 1.7 : 1.25)]},
        yaxis: {
          range: [shapes.length - 0.45, -0.55],
          tickvals: shapes.map((_, k) => k),
          ticktext: shapes.map((_, k) => String(k + 1)),
          title: {text: 'shape'},
          showgrid: false
        }
      },
    }),
  });
}

function timesTable(bench, op) {
  const shapes = bench.shapes.filter((s) => s.op === op);
  const rows = shapes.flatMap(
      (s, k) => s.sets.map(
          (t) => [`${k + 1}: ${s.shape}`, t.set, ...(t.not_timed ? [`not timed: ${t.not_timed}`, '–', '–', '–', '–'] : [
                    short(t.cold[0]), `${short(t.cold[1])} to ${short(t.cold[2])}`, short(t.warm[0]),
                    `${Math.round(100 * number(t.share_of_copy))} %`, t.ratio === undefined ? '–' : t.ratio.toFixed(2)
                  ])]));
  return scrolling(
      `Times of ${op}`,
      plainTable(
          `Times of ${op}`, ['shape', 'set', 'cold µs', '10th to 90th percentile', 'warm µs', 'of copy speed', 'x'],
          rows));
}

function benchSection(benches, data) {
  if (benches.length === 0) return null;
  return section('bench', 'Benchmark', ...benches.map((bench) => {
    const missing = bench.shapes.flatMap((s) => s.sets.filter((t) => t.not_timed).map(() => s.op));
    const ops = [...new Set(bench.shapes.map((s) => s.op))];
    const place = el('div');
    const show = (op) => place.replaceChildren(opBars(bench, op), timesTable(bench, op));
    if (ops.length > 0) show(ops[0]);
    const machine = Object.entries(bench.machine).map(([key, value]) => `${key} ${value}`).join(', ');
    return el(
        'div', {}, el('h3', {}, data.files[bench.file].path), el('p', {class: 'facts'}, machine),
        el('ul', {class: 'facts'},
           bench.sets.map(
               (set) =>
                   el('li', {},
                      [set.name, Object.entries(set.provenance).map(([k, v]) => `${k} ${v}`).join(', ')]
                          .filter(Boolean)
                          .join(': ')))),
        missing.length > 0 &&
            el('p', {class: 'notice'},
               `NOT TIMED: ${countOf(missing.length, 'time')} of ${[...new Set(missing)].join(', ')}`),
        bench.sets.slice(1).map((_, i) => ratioPlot(bench, i + 1)),
        ops.length > 0 ? choice('Op', ops.map((op) => [op, op]), ops[0], show) : el('p', {}, 'No shape was timed.'),
        place);
  }));
}
