// Computes a map away from the page, which stays quick meanwhile.

import { umap } from "./umap.js";

addEventListener("message", ({ data }) => {
  const onProgress = (place, share) => postMessage({ place: place.slice(), share });
  const place = umap(data.X, data.n, data.d, data.start, { onProgress });
  postMessage({ place, share: 1 });
});
