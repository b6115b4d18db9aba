import {
  applyFieldOverrides, cacheFieldDisplayNames, type DataFrame, FieldConfigOptionsRegistry, type GrafanaTheme2,
  standardTransformers, standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import type { Panel } from './dashboard';

// What Grafana takes where a dashboard is silent; its packages do not contain that.
const THRESHOLDS = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
const LINE = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', pointSize: 5,
  showPoints: 'auto', spanNulls: false, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto',
  axisGridShow: true, scaleDistribution: { type: 'linear' }, thresholdsStyle: { mode: 'off' },
};
const CELL = { align: 'auto', cellOptions: { type: 'auto' }, inspect: false };
const CUSTOM: Record<string, object> = { timeseries: LINE, table: CELL };

// One of them goes by two names.
const transformers: any[] = [...new Set(Object.values(standardTransformers))];
standardTransformersRegistry.setInit(() => transformers.map((info) => ({ ...info, transformation: async () => info })));

export async function fields(panel: Panel, frames: DataFrame[], theme: GrafanaTheme2): Promise<DataFrame[]> {
  const transformed = transformDataFrame(panel.transformations ?? [], frames);
  const data: DataFrame[] = await new Promise((next, error) => transformed.subscribe({ next, error }));
  const replaceVariables = (text: string) => text;
  const { config, fieldConfigRegistry } = fieldConfig(panel);
  const how = { fieldConfig: config, fieldConfigRegistry, replaceVariables, timeZone: 'utc' };
  const fields = applyFieldOverrides({ data, theme, ...how });
  cacheFieldDisplayNames(fields);
  return fields;
}

export function fieldConfig({ type, fieldConfig: { defaults, overrides } }: Panel) {
  const custom = { ...CUSTOM[type], ...defaults.custom };
  const color = { mode: type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  const config: any = { defaults: { thresholds: THRESHOLDS, color, ...defaults, custom }, overrides };
  const ids = [
    ...Object.keys(config.defaults).filter((id) => id !== 'custom'),
    ...Object.keys(custom).map((id) => `custom.${id}`),
    ...overrides.flatMap(({ properties }) => properties.map(({ id }) => id)),
  ];
  const fieldConfigRegistry = new FieldConfigOptionsRegistry(() => [...new Set(ids)].map(property));
  return { config, fieldConfigRegistry };
}

function property(id: string): any {
  const [path, isCustom] = [id.replace(/^custom\./, ''), id.startsWith('custom.')];
  return { id, name: id, path, isCustom, process: (value: unknown) => value, shouldApply: () => true };
}
