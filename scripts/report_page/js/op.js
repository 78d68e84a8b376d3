// What the results say about one op: distributions of its errors, and the errors over its parameters.

/** "4 to 7" for the bucket 4, "−3 to −2" for the bucket −2. */
function ulpLabel(bucket) {
  const size = Math.abs(bucket);
  if (size <= 1) return String(bucket).replace('-', '−');
  return bucket > 0 ? `${size} to ${2 * size - 1}` : `−${2 * size - 1} to −${size}`;
}

/** Sums the `errors` of an output over its cases. */
function summedErrors(outputs) {
  const sum = {
    elements: 0,
    bounded: 0,
    same: 0,
    notFinite: 0,
    share: new Array(21).fill(0),
    ulp: new Map(),
    meanUlp: 0,
    meanUlpAway: 0,
    meanShare: 0,
    meanShareAway: 0,
    shares: []
  };
  for (const {errors} of outputs) {
    sum.elements += errors.elements;
    sum.bounded += errors.bounded;
    sum.same += errors.same;
    sum.notFinite += errors.not_finite;
    errors.share.forEach((n, i) => {
      sum.share[i] += n;
    });
    for (const [bucket, n] of errors.ulp) sum.ulp.set(bucket, (sum.ulp.get(bucket) ?? 0) + n);
    sum.meanUlp += number(errors.mean_ulp) * errors.elements;
    sum.meanUlpAway += number(errors.mean_ulp_away) * errors.elements;
    sum.meanShare += number(errors.mean_share) * errors.bounded;
    sum.meanShareAway += number(errors.mean_share_away) * errors.bounded;
    if (errors.bounded > 0) sum.shares.push(number(errors.mean_share));
  }
  for (const key of ['meanUlp', 'meanUlpAway']) sum[key] /= Math.max(1, sum.elements);
  for (const key of ['meanShare', 'meanShareAway']) sum[key] /= Math.max(1, sum.bounded);
  return sum;
}

function sharePlot(name, sum) {
  const bars =
      sum.share.map((n, i) => [i < 20 ? `${(i / 20).toFixed(2)} to ${((i + 1) / 20).toFixed(2)}` : 'above 1', n]);
  const above = sum.share[20];
  return countBars({
    title: `${name}: error/bound of elements.`,
    bars,
    xTitle: '|error| / bound',
    limitAfter: 19.5,
    labels: [0, 4, 8, 12, 16, 20].map((i) => [i - 0.5, String(i / 20)]),
    highlight: (label) => label === 'above 1',
    summary: `${countOf(sum.bounded, 'element')} with a bound; ${
        above === 0 ? 'none is' : `${above.toLocaleString('en')} are`} above the bound.`,
  });
}

/** All buckets from the smallest to the largest one that occurs: ..., -2, -1, 0, 1, 2, 4, ... */
function ulpBuckets(occurring) {
  const powers = Array.from({length: 63}, (_, i) => 2 ** i);
  const all = [...powers.map((p) => -p).reverse(), 0, ...powers];
  return all.filter((bucket) => bucket >= Math.min(0, ...occurring) && bucket <= Math.max(0, ...occurring));
}

/** "16", "−16", or a power of two for Plotly. */
function ulpTick(bucket) {
  const size = Math.abs(bucket);
  return (bucket < 0 ? '−' : '') + (size < 1024 ? size : `2<sup>${Math.log2(size)}</sup>`);
}

function ulpPlot(name, sum) {
  const buckets = ulpBuckets([...sum.ulp.keys()]);
  const bars = buckets.map((bucket) => [ulpLabel(bucket), sum.ulp.get(bucket) ?? 0]);
  const step = Math.ceil(buckets.length / 9);
  const zero = buckets.indexOf(0);
  const labels = buckets.map((bucket, i) => [i, ulpTick(bucket)]).filter(([i]) => (i - zero) % step === 0);
  const same = sum.elements === 0 ?
      '' :
      ` ${((100 * sum.same) / sum.elements).toFixed(1)} % have the reference's bits, rounded to the dtype.`;
  const rest =
      sum.notFinite === 0 ? '' : ` Without a distance, because it is not finite: ${countOf(sum.notFinite, 'element')}.`;
  return countBars({
    title: `${name}: distance in ulp.`,
    bars,
    labels,
    xTitle: 'signed distance from the reference, in ulp',
    summary: `${countOf(sum.elements, 'element')}.${same}${rest}`,
  });
}

function biasPlot(sums) {
  const rows = [...sums].map(
      ([name, s]) =>
          [name, short(s.meanShare), short(s.meanShareAway), short(s.meanUlp), short(s.meanUlpAway),
           s.elements.toLocaleString('en')]);
  const worst = rows.map((row) => `${row[0]} ${row[1]} of the bound`).join(', ');
  return figure({
    title: 'Signed bias.',
    height: 110 + 60 * sums.size,
    summary:
        `Mean error/bound with its sign, for each case. Without a bias, the values lie around 0. Over all elements: ${
            worst}.`,
    table: {heads: ['output', 'mean error/bound', 'away from zero', 'mean ulp', 'away from zero', 'elements'], rows},
    make: (c) => ({
      data: [...sums].map(([name, s], i) => ({
                            type: 'box',
                            orientation: 'h',
                            name: forPlotly(name, 20),
                            x: s.shares,
                            boxpoints: 'all',
                            jitter: 0.5,
                            pointpos: 0,
                            fillcolor: 'rgba(0,0,0,0)',
                            marker: {color: c.series[i % c.series.length], size: 4, opacity: 0.5},
                            line: {color: c.series[i % c.series.length], width: 1.5},
                            hoverinfo: 'x',
                          })),
      layout: {
        xaxis: {
          title: {text: 'mean signed error/bound of a case'},
          zeroline: true,
          zerolinecolor: c.text,
          zerolinewidth: 2
        },
        margin: {l: 100}
      },
    }),
  });
}

/** Without statistics of elements, the distribution of the largest error/bound of each case. */
function casePlot(name, outputs) {
  const shares = outputs.map(errorOverBound);
  const defined = shares.filter((share) => !Number.isNaN(share));
  const missing = shares.length - defined.length;
  const counts = new Array(21).fill(0);
  for (const share of shares) counts[share > 1 || Number.isNaN(share) ? 20 : Math.min(19, Math.floor(share * 20))]++;
  return figure({
    title: `${name}: largest error/bound of each case.`,
    height: 220,
    summary: `${countOf(shares.length, 'case')}; the largest is ${short(Math.max(0, ...defined))}.` +
        (missing > 0 ? ` In ${countOf(missing, 'case')} an element outside the tolerance has no error/bound, ` +
                 'because it is not finite or its bound is 0; they count as above 1.' :
                       ''),
    table: {
      heads: ['error/bound', 'cases'],
      rows: counts.map((n, i) => [i < 20 ? `${(i / 20).toFixed(2)} to ${((i + 1) / 20).toFixed(2)}` : 'above 1', n])
    },
    make: (c) => ({
      data: [{
        type: 'bar',
        x: counts.map((_, i) => (i < 20 ? (i + 0.5) / 20 : 1.05)),
        y: counts,
        width: 0.045,
        hoverinfo: 'y',
        marker: {
          color: counts.map((_, i) => (i < 20 ? c.main : c.bad)),
          pattern: {shape: counts.map((_, i) => (i < 20 ? '' : '/'))}
        }
      }],
      layout: {
        xaxis: {title: {text: 'error/bound (right of 1: above the bound)'}, range: [0, 1.1], dtick: 0.2},
        yaxis: {title: {text: 'cases'}},
        shapes: [{type: 'line', x0: 1, x1: 1, yref: 'paper', y0: 0, y1: 1, line: {color: c.bad, dash: 'dash'}}]
      },
    }),
  });
}

/**
 * What the statistics of an op leave out: outputs without them, such as those of scenarios, and what differs there.
 * Elements that a known fault excuses are counted apart from those outside the tolerance.
 */
function outsideStatistics(cases) {
  const out = cases.flatMap((c) => c.outputs.filter((o) => !hasErrors(o)).map((o) => ({c, o})));
  const silent = cases.filter((c) => c.outputs.length === 0);
  if (out.length + silent.length === 0) return 'The plots show all outputs of all cases of the op.';
  const of = (list) => `${countOf(list.length, 'output')} of ${countOf(new Set(list.map(({c}) => c)).size, 'case')}`;
  const sum = (key) => out.reduce((n, {o}) => n + (o[key] ?? 0), 0);
  const wrong = out.filter(({o}) => (o.violations ?? 0) > 0);
  const excused = out.filter(({o}) => (o.excused ?? 0) > 0);
  const texts = [];
  if (out.length > 0) {
    texts.push(`The plots leave out ${of(out)}, which have no statistics of elements. `);
    texts.push(
        wrong.length > 0 ? `Outside the tolerance there: ${countOf(sum('violations'), 'element')}, in ${of(wrong)}. ` :
                           'None of them has an element outside the tolerance. ');
    if (excused.length > 0)
      texts.push(`Excused there by a known fault: ${countOf(sum('excused'), 'element')}, in ${of(excused)}. `);
  }
  if (silent.length > 0) {
    const verdicts = [...groupBy(silent, (c) => c.verdict)].map(([verdict, list]) => `${list.length} ${verdict}`);
    texts.push(`${countOf(silent.length, 'case')} of the op without any output: ${verdicts.join(', ')}.`);
  }
  return texts.join('').trim();
}

/** True if the results have statistics of elements for this output. */
function hasErrors(o) { return Boolean(o.errors) && o.errors.elements > 0; }

function errorsPart(cases) {
  const outputs = groupBy(cases.flatMap((c) => c.outputs), (o) => o.name);
  const withErrors =
      new Map([...outputs].map(([name, list]) => [name, list.filter(hasErrors)]).filter(([, list]) => list.length > 0));
  const parts = [el('h4', {}, 'Error of each output')];
  if (withErrors.size > 0) {
    const sums = new Map([...withErrors].map(([name, list]) => [name, summedErrors(list)]));
    const plots = [...sums]
                      .flatMap(([name, sum]) => [sum.bounded > 0 && sharePlot(name, sum), ulpPlot(name, sum)])
                      .filter(Boolean);
    const leftOut = el('p', {class: 'notice'}, outsideStatistics(cases));
    return [...parts, leftOut, el('div', {class: 'plots'}, plots), biasPlot(sums)];
  }
  const bounded = [...outputs].filter(([, list]) => list.some((o) => o.tolerance === 'bound'));
  if (bounded.length === 0) {
    const kinds = [...new Set([...outputs.values()].flat().map((o) => o.tolerance))].join(', ');
    return [
      ...parts,
      el('p', {}, kinds ? `No output has a bound (${kinds}), so there is no error/bound.` : 'No output was compared.')
    ];
  }
  return [
    ...parts,
    el('p', {class: 'notice'},
       'This results file has no statistics of elements for this op, ' +
           'so there is no distribution over elements, no ULP histogram and no signed bias. ' +
           'A run with --errors writes them. The plots show the largest error/bound of each case.'),
    el('div', {class: 'plots'}, bounded.map(([name, list]) => casePlot(name, list)))
  ];
}

function openOp(run, op) {
  const row = run.ops.find((r) => r.op === op);
  const place = document.getElementById('op');
  const close = () => {
    place.replaceChildren();
    document.querySelector(`[data-op="${CSS.escape(op)}"]`)?.focus();
  };
  const heading = el('h3', {tabindex: '-1', id: 'op-title'}, 'Op ', el('code', {}, op));
  place.replaceChildren(
      el('section', {class: 'op', 'aria-labelledby': 'op-title'},
         el('div', {class: 'bar'}, heading, el('button', {type: 'button', click: close}, 'Close op')),
         el('p', {}, `${countOf(row.total, 'case')}, ${row.differing} of them differ. `,
            el('button', {type: 'button', class: 'link', click: () => showCasesOf(op)}, 'Show its cases')),
         errorsPart(row.cases), parametersPart(row.cases)));
  heading.focus();
}
