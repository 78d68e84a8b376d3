// Reads the data of the page (scripts/report_page/data.py makes them).

const VERDICT_SIGNS = {
  passed: '✓',
  failed: '✗',
  known: '≈',
  error: '!',
  mistrusted: '?',
  unsupported: '–',
  skipped: '○',
};
const DIFFERENCES = ['failed', 'error', 'mistrusted'];

/** The bytes of base64 text. */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Unpacks the text that the page holds in the script element `id`, and removes the element. */
async function unpack(id) {
  const holder = document.getElementById(id);
  const packed = new Blob([fromBase64(holder.textContent)]);
  holder.remove();
  return new Response(packed.stream().pipeThrough(new DecompressionStream('gzip'))).text();
}

/** The parameters of a case id, as [name, value] pairs: "op/k=4,fill=ties/seed=7" has k and fill. */
function parametersOf(id) {
  const parts = id.split('/').slice(1);
  const point = parts.find((part) => part.includes('=') && !part.startsWith('seed='));
  if (!point) return [];
  return point.split(',')
      .filter((p) => p.includes('='))
      .map((p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)]);
}

/** The scenario of a case id, such as "contract:k_dtype"; "" for the op's own call. */
function scenarioOf(id) {
  return id.split('/').slice(1).find((part) => /^(contract|relation|sequence):/.test(part)) ?? '';
}

/**
 * The error/bound of an output. It is NaN if an element outside the tolerance has none: one side is NaN or infinite, or
 * its bound is 0. Then the file has the largest error/bound of the other elements, which says nothing about this one.
 */
function errorOverBound(o) {
  const tightness = number(o.tightness);
  return (o.violations ?? 0) > 0 && tightness <= 1 ? NaN : tightness;
}

/** The larger of two; NaN is larger than every number. */
function larger(a, b) { return Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b); }

/** The largest error/bound of the cases that passed; null if none of them has a bound. */
function passedTightness(cases) {
  const bounded = cases.filter((c) => c.verdict === 'passed' && c.bounded).map((c) => c.tightness);
  return bounded.length > 0 ? bounded.reduce(larger) : null;
}

/** Fills in what the compact form leaves out, and the sums that several sections use. */
function expandCase(c, run, strings, verdicts) {
  c.run = run;
  c.op = c.id.split('/')[0];
  c.verdict = verdicts[c.verdict];
  c.reason = strings[c.reason];
  c.command = strings[c.command].split('\0').join(c.id);
  c.differs = DIFFERENCES.includes(c.verdict);
  c.violations = 0;
  c.different = 0;
  c.compared = 0;
  c.tightness = 0;
  c.bounded = false;
  for (const o of c.outputs) {
    for (const key of ['name', 'tolerance', 'reason']) o[key] = strings[o[key]];
    c.violations += o.violations ?? 0;
    c.different += o.different ?? 0;
    c.compared += o.compared ?? 0;
    if (o.tolerance !== 'bound') continue;
    c.bounded = true;
    c.tightness = larger(c.tightness, errorOverBound(o));
  }
  c.findings = (c.findings ?? []).map(([check, detail]) => ({check: strings[check], detail}));
  return c;
}

/** Groups items by a key, in the order of first occurrence. */
function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const k = key(item);
    if (!groups.has(k)) groups.set(k, []);
    groups.get(k).push(item);
  }
  return groups;
}

/** The cases of a run by op, with counts of each verdict. */
function opsOf(cases, verdicts) {
  return [...groupBy(cases, (c) => c.op)].map(([op, list]) => {
    const row = {op, cases: list, total: list.length, tightness: passedTightness(list), bitsCompared: 0, sameBits: 0};
    for (const verdict of verdicts) row[verdict] = 0;
    for (const c of list) {
      row[c.verdict]++;
      const withBits = c.outputs.filter((o) => o.bits);
      if (withBits.length > 0) {
        row.bitsCompared++;
        if (withBits.every((o) => o.bits.other === 0)) row.sameBits++;
      }
    }
    row.differing = row.failed + row.error + row.mistrusted;
    return row;
  });
}

async function loadData() {
  const data = JSON.parse(await unpack('data'));
  data.runs.forEach((run, index) => {
    run.index = index;
    run.label = `${run.name} against ${run.against} (${data.files[run.file].path})`;
    for (const c of run.cases) expandCase(c, run, data.strings, data.verdicts);
    run.byId = new Map(run.cases.map((c) => [c.id, c]));
    run.ops = opsOf(run.cases, data.verdicts);
    run.hasErrors = run.cases.some((c) => c.outputs.some((o) => o.errors));
  });
  return data;
}
