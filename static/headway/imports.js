// The page of an import: what the server refuses is said on it, beside what stands now.

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target?.id !== "import" || !detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) return;
  if (detail.xhr.status < 400 || !detail.serverResponse.includes('id="import"')) return;
  detail.shouldSwap = true;
  detail.isError = false;
});
