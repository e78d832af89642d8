// node pack.mjs FROM TO FILE…: each as TO/FILE.gz, which the page unpacks itself, and the first (which most visitors fetch)
// as TO/FILE.br, too, which `onecycle serve` sends to browsers that take it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [from, to, ...files] = process.argv.slice(2);
for (const [i, file] of files.entries()) {
  const whole = readFileSync(join(from, file));
  writeFileSync(join(to, `${file}.gz`), gzipSync(whole, { level: 9 }));
  const brotli = () => brotliCompressSync(whole, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } });
  if (i === 0) writeFileSync(join(to, `${file}.br`), brotli());
}
