/** Counters, gauges and histograms in the Prometheus text format (exposition format 0.0.4). */

export type Labels = Readonly<Record<string, string>>;

type Family = { help: string; type: "counter" | "gauge" | "histogram"; render: () => string[] };

export type Counter = { inc(labels?: Labels, by?: number): void };
export type Gauge = { set(value: number, labels?: Labels): void };
export type Histogram = { observe(value: number, labels?: Labels): void };

/** Names end in a unit (`_seconds`, `_bytes`) or in `_total`. */
export class Metrics {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    const values = this.#values(name, help, "counter");
    return {
      inc: (labels = {}, by = 1) => void values.set(key(labels), (values.get(key(labels)) ?? 0) + by),
    };
  }

  gauge(name: string, help: string): Gauge {
    const values = this.#values(name, help, "gauge");
    return { set: (value, labels = {}) => void values.set(key(labels), value) };
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    const series = new Map<string, { counts: number[]; sum: number; count: number }>();
    this.#families.set(name, {
      help,
      type: "histogram",
      render: () =>
        [...series].flatMap(([labels, data]) => [
          ...buckets.map((le, i) => `${name}_bucket${join(labels, `le="${le}"`)} ${data.counts[i]}`),
          `${name}_bucket${join(labels, 'le="+Inf"')} ${data.count}`,
          `${name}_sum${join(labels)} ${data.sum}`,
          `${name}_count${join(labels)} ${data.count}`,
        ]),
    });
    return {
      observe: (value, labels = {}) => {
        const id = key(labels);
        const data = series.get(id) ?? { counts: buckets.map(() => 0), sum: 0, count: 0 };
        series.set(id, data);
        buckets.forEach((le, i) => {
          if (value <= le) data.counts[i]! += 1;
        });
        data.sum += value;
        data.count += 1;
      },
    };
  }

  /** The page a scraper reads. */
  render(): string {
    return [...this.#families]
      .flatMap(([name, family]) => [
        `# HELP ${name} ${family.help}`,
        `# TYPE ${name} ${family.type}`,
        ...family.render(),
      ])
      .concat("")
      .join("\n");
  }

  #values(name: string, help: string, type: "counter" | "gauge"): Map<string, number> {
    const values = new Map<string, number>();
    this.#families.set(name, {
      help,
      type,
      render: () => [...values].map(([labels, value]) => `${name}${join(labels)} ${value}`),
    });
    return values;
  }
}

function key(labels: Labels): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`)
    .join(",");
}

function join(...labels: string[]): string {
  const listed = labels.filter((label) => label !== "").join(",");
  return listed === "" ? "" : `{${listed}}`;
}
