import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

/** What is used of Grafana's format of a dashboard. */
export interface Dashboard { title: string; panels: Panel[] }

export interface Panel {
  id: number;
  title: string;
  description?: string;
  type: string;
  gridPos: Record<'x' | 'y' | 'w' | 'h', number>;
  fieldConfig: FieldConfigSource<any>;
  options: Record<string, any>;
  transformations?: DataTransformerConfig[];
  targets: Target[];
}

export interface Target { refId: string; expr: string; legendFormat?: string; instant?: boolean; format?: string }
