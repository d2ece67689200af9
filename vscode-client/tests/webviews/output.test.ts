// What the view gives out: numbers as CSV, drawings as SVG.

import assert from "node:assert/strict";
import { test } from "node:test";
import { float32Text, matrixHeader, matrixLines, quoted, rowCsv } from "../../webviews/matrix/csv";
import { SvgPen, type Pixels } from "../../webviews/matrix/svg_pen";

void test("a number has the fewest digits that give its float32 again", () => {
  assert.equal(float32Text(Math.fround(0.1)), "0.1");
  assert.equal(float32Text(0), "0");
  assert.equal(float32Text(1), "1");
  const values = new Float32Array(2000);
  const bits = new Uint32Array(values.buffer);
  bits.forEach((_, i) => (bits[i] = (0x3f800000 * (i / 2000)) ^ ((i * 2654435761) % 997))); // from 0 to 1, as weights are
  for (const value of values) {
    assert.equal(Math.fround(Number(float32Text(value))), value);
    assert.ok(float32Text(value).replace(/^0\.0*|e.*$|\./g, "").length <= 9, float32Text(value));
  }
});

void test("rows and matrices as CSV; labels with commas and quotes are quoted", () => {
  const labels = ["<|bos|>", ",", 'say"'];
  assert.equal(quoted("a\nb"), '"a\nb"');
  assert.equal(rowCsv(labels, 1, [0.25, 0.75, 0]), 'position,token,weight\n0,<|bos|>,0.25\n1,",",0.75\n');
  assert.equal(matrixHeader(labels, 3), 'query,0 <|bos|>,"1 ,","2 say"""');
  assert.deepEqual(matrixLines(labels, 1, Float32Array.of(0.5, 0.5, 0, 0.25, 0.25, 0.5), 3), [
    '"1 ,",0.5,0.5,0',
    '"2 say""",0.25,0.25,0.5',
  ]);
});

/** Two by two: two equal pixels, then one and a see-through one. */
const PIXELS: Pixels = {
  width: 2,
  height: 2,
  data: Uint8ClampedArray.from([...[1, 2, 3, 255], ...[1, 2, 3, 255], ...[255, 0, 0, 255], ...[0, 0, 0, 0]]),
};

function pen(pixels = PIXELS): SvgPen<string> {
  return new SvgPen({ measure: (text) => text.length, pixels: () => pixels, url: () => "data:image/png;base64,AAAA" });
}

const IMAGE = "an image";

void test("cells become rectangles, a run of equal ones one; many of them a picture", () => {
  const small = pen();
  small.drawImage(IMAGE, 10, 20, 40, 40);
  const text = small.document(100, 80);
  assert.match(text, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="100" height="80" viewBox="0 0 100 80">/);
  assert.match(text, /translate\(10 20\) scale\(20 20\)/);
  assert.deepEqual(text.match(/<rect[^>]*>/g), [
    '<rect x="0" y="0" width="2" height="1" fill="#010203"/>',
    '<rect x="0" y="1" width="1" height="1" fill="#ff0000"/>',
  ]);
  const large = pen({ width: 300, height: 300, data: new Uint8ClampedArray(360_000) });
  large.drawImage(IMAGE, 0, 0, 300, 300);
  assert.match(
    large.document(300, 300),
    /<image [^>]*image-rendering:pixelated[^>]*href="data:image\/png;base64,AAAA"/,
  );
});

void test("text is escaped, placed and turned, and what was saved comes back", () => {
  const made = pen();
  made.save();
  made.translate(5, 6);
  made.rotate(-Math.PI / 2);
  made.textAlign = "right";
  made.fillStyle = "red";
  made.fillText('<|bos|> & "x"', 1, 2);
  made.restore();
  made.beginPath();
  made.rect(0, 0, 9, 9);
  made.save();
  made.clip();
  made.fillRect(0, 0, 1, 1);
  made.restore();
  const text = made.document(10, 10);
  assert.match(
    text,
    /text-anchor="end"[^>]*fill="red" transform="translate\(5 6\)rotate\(-90\)">&lt;\|bos\|&gt; &amp; &quot;x&quot;</,
  );
  assert.match(text, /<g clip-path="url\(#clip1\)">\n<rect x="0" y="0" width="1" height="1" fill="#000"\/>\n<\/g>/);
});
