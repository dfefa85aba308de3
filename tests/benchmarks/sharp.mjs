// Three default thumbnails with sharp: node sharp.mjs MODULES KIND FILE REPETITIONS FOLDER CONCURRENCY
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [modules, kind, file, repetitions, folder, concurrency] = process.argv.slice(2);
const sharp = createRequire(modules + "/")("sharp");
sharp.cache(false);
sharp.concurrency(1);

const buffer = readFileSync(file);
const encode = {
  jpg: (image) => image.jpeg({ quality: 90, chromaSubsampling: "4:2:0" }),
  svg: (image) => image.flatten({ background: "white" }).jpeg({ quality: 90, chromaSubsampling: "4:2:0" }),
  png: (image) => image.png({ compressionLevel: 3 }),
  gif: (image) => image.gif({ effort: 1 }),
  webp: (image) => image.webp({ quality: 93, effort: 4 }),
  avif: (image) => image.avif({ quality: 83, effort: 0, chromaSubsampling: "4:2:0" }),
}[kind];
const open = () => sharp(buffer, { animated: kind === "gif" });
const thumbnails = () =>
  Promise.all(
    [
      [1500, 1500, { fit: "inside", withoutEnlargement: true }],
      [400, 400, { fit: "inside", withoutEnlargement: true }],
      [200, 200, { fit: "cover" }],
    ].map((size) => encode(open().resize(...size)).toBuffer()),
  );

const made = await thumbnails();
["BI", "MI", "SI"].forEach((name, i) => writeFileSync(`${folder}/${name}`, made[i]));
const before = process.cpuUsage();
const start = process.hrtime.bigint();
let left = Number(repetitions);
await Promise.all(
  Array.from({ length: Number(concurrency) }, async () => {
    while (left-- > 0) await thumbnails();
  }),
);
const used = process.cpuUsage(before);
const images = Number(repetitions);
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const megabytes = Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
console.log(JSON.stringify({ cpu: (used.user + used.system) / 1e6 / images, wall: seconds / images, mb: megabytes }));
