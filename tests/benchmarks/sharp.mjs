// The three default thumbnails with sharp: node sharp.mjs MODULES PHOTO REPETITIONS FOLDER CONCURRENCY
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [modules, photo, repetitions, folder, concurrency] = process.argv.slice(2);
const sharp = createRequire(modules + "/")("sharp");
sharp.cache(false);
sharp.concurrency(1);

const buffer = readFileSync(photo);
const jpeg = { quality: 90, chromaSubsampling: "4:2:0" };
const thumbnails = () =>
  Promise.all([
    sharp(buffer).resize(1500, 1500, { fit: "inside", withoutEnlargement: true }).jpeg(jpeg).toBuffer(),
    sharp(buffer).resize(400, 400, { fit: "inside", withoutEnlargement: true }).jpeg(jpeg).toBuffer(),
    sharp(buffer).resize(200, 200, { fit: "cover" }).jpeg(jpeg).toBuffer(),
  ]);

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
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
console.log(JSON.stringify({ cpu: (used.user + used.system) / 1e6, wall: seconds }));
