// Draws every icon named in concepts.json, in every style, as a transparent 256x256 PNG: <out>/icons/<style>/<icon>.png
// Usage: node render.mjs <out>
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import sharp from 'sharp'

const SIZE_PX = 256
const require = createRequire(import.meta.url)
const { styles, concepts } = JSON.parse(readFileSync(new URL('./concepts.json', import.meta.url), 'utf8'))
const out = process.argv[2] ?? 'build'

/** The icon's SVG document; follows the set's aliases. */
function svgOf(set, name) {
  const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent]
  if (!icon) throw new Error(`no icon ${name} in ${set.prefix}`)
  const width = icon.width ?? set.width
  const height = icon.height ?? set.height
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${SIZE_PX}" height="${SIZE_PX}" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`
}

for (const [style, source] of Object.entries(styles)) {
  const set = require(`${source.package}/icons.json`)
  mkdirSync(join(out, 'icons', style), { recursive: true })
  for (const { icon } of concepts) {
    await sharp(Buffer.from(svgOf(set, icon))).resize(SIZE_PX, SIZE_PX).png().toFile(join(out, 'icons', style, `${icon}.png`))
  }
}
console.log(`${concepts.length} concepts x ${Object.keys(styles).length} styles -> ${join(out, 'icons')}`)
