// node pack.mjs FROM TO: TO.gz, which the page unpacks itself, and TO.br, which `onecycle serve` sends to browsers that take it.

import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [from, to] = process.argv.slice(2);
const whole = readFileSync(from);
writeFileSync(`${to}.gz`, gzipSync(whole, { level: 9 }));
writeFileSync(`${to}.br`, brotliCompressSync(whole, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }));
