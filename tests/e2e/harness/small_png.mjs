// Makes pictures small: a screenshot in sixteen colours, which for text and flat surfaces look like all of them.
import { crc32, deflateSync } from "node:zlib";

const COLOURS = 16; // so that two pixels take a byte
const ROUNDS = 12;

/** A PNG with a palette, out of a PNG; a page of a browser reads that. */
export async function smallPng(page, png) {
  const { width, height, base64 } = await page.evaluate(async (given) => {
    const bytes = Uint8Array.from(atob(given), (one) => one.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let text = "";
    for (let at = 0; at < data.length; at += 4096) text += String.fromCharCode(...data.subarray(at, at + 4096));
    return { width: bitmap.width, height: bitmap.height, base64: btoa(text) };
  }, png.toString("base64"));
  return encoded(width, height, Buffer.from(base64, "base64"));
}

function encoded(width, height, pixels) {
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += 4) {
    const colour = pixels.readUIntBE(at, 3);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const palette = paletteOf([...counts].map(([colour, count]) => ({ rgb: channels(colour), count })));
  const nearest = new Map([...counts.keys()].map((colour) => [colour, indexOf(palette, channels(colour))]));
  const length = 1 + Math.ceil(width / 2);
  const rows = Buffer.alloc(height * length); // each begins with its filter, none
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const index = nearest.get(pixels.readUIntBE(4 * (y * width + x), 3));
      rows[y * length + 1 + (x >> 1)] |= x % 2 === 0 ? index << 4 : index;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([4, 3], 8); // bits of an index; it is one of a palette
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flat())),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const channels = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];

/** The means of the colours next to each (k-means); a colour of few pixels counts for more than they are. */
function paletteOf(counted) {
  const colours = counted.map(({ rgb, count }) => ({ rgb, weight: Math.sqrt(count) }));
  let palette = [colours.reduce((best, other) => (other.weight > best.weight ? other : best)).rgb];
  while (palette.length < Math.min(COLOURS, colours.length)) {
    const far = ({ rgb, weight }) => weight * offFrom(palette[indexOf(palette, rgb)], rgb); // the one that is missed most
    palette.push(colours.map((one) => [far(one), one.rgb]).reduce((best, other) => (other[0] > best[0] ? other : best))[1]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    const sums = palette.map(() => [0, 0, 0, 0]);
    for (const { rgb, weight } of colours) {
      const sum = sums[indexOf(palette, rgb)];
      [...rgb, 1].forEach((value, channel) => (sum[channel] += weight * value));
    }
    palette = sums.map((sum, index) => (sum[3] === 0 ? palette[index] : sum.slice(0, 3).map((one) => one / sum[3])));
  }
  return palette.map((rgb) => rgb.map(Math.round));
}

const offFrom = ([r, g, b], [red, green, blue]) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;

function indexOf(palette, rgb) {
  let best = 0;
  let least = Infinity;
  palette.forEach((colour, index) => {
    const off = offFrom(colour, rgb);
    if (off < least) [best, least] = [index, off];
  });
  return best;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
