import { type DataFrame, type Field, FieldType } from '@grafana/data';
import type { Target } from './dashboard';

/** Seconds. */
export interface Range { start: number; end: number; step: number }

interface Series { metric: Record<string, string>; values: [number, string][] }

/** The frames that Grafana's data source would make of the answer. */
export async function query(target: Target, range: Range): Promise<DataFrame[]> {
  const series = await ask(target, range);
  if (target.format === 'table' && series.length > 0) {
    return [table(target, series)];
  }
  return series.map((one) => frame(target, one, range.step));
}

async function ask(target: Target, { start, end, step }: Range): Promise<Series[]> {
  const query = target.expr.replaceAll('$namespace', '.*').replaceAll('$__rate_interval', '1m');
  const [path, time] = target.instant ? ['query', { time: end }] : ['query_range', { start, end, step }];
  const response = await fetch(`/api/v1/${path}?${new URLSearchParams({ query, ...time } as any)}`);
  const answer = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (answer.status !== 'success') {
    throw new Error(`${answer.error}: ${query}`);
  }
  return answer.data.result.map(({ metric, values, value }: any) => ({ metric, values: values ?? [value] }));
}

function frame(target: Target, { metric, values }: Series, step: number): DataFrame {
  // A line is interrupted where points are further apart than the interval.
  const time = { ...field('Time', FieldType.time, values.map(([at]) => at * 1000)), config: { interval: step * 1000 } };
  const value = field('Value', FieldType.number, values.map(([, number]) => finite(number)));
  const name = seriesName(target, metric);
  return {
    name,
    fields: [time, { ...value, labels: metric, config: { displayNameFromDS: name } }],
    length: values.length,
  };
}

function table(target: Target, series: Series[]): DataFrame {
  const rows = series.flatMap(({ metric, values }) => values.map(([at, value]) => ({ metric, at, value })));
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const fields = [
    field('Time', FieldType.time, rows.map(({ at }) => at * 1000)),
    ...labels.map((label) => field(label, FieldType.string, rows.map(({ metric }) => metric[label] ?? ''))),
    field('Value', FieldType.number, rows.map(({ value }) => finite(value))),
  ];
  return { refId: target.refId, fields, length: rows.length };
}

function field(name: string, type: FieldType, values: unknown[]): Field {
  return { name, type, values, config: {} };
}

/** A quantile of nothing is NaN, which is no point of a graph. */
function finite(number: string): number | null {
  return Number.isFinite(Number(number)) ? Number(number) : null;
}

function seriesName(target: Target, { __name__: name = '', ...labels }: Record<string, string>): string | undefined {
  if (target.legendFormat === '__auto') {
    return undefined;
  }
  if (target.legendFormat) {
    return target.legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? '');
  }
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return name || pairs.length ? `${name}{${pairs.join(', ')}}` : target.expr;
}
