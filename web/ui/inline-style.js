// The pages' policy takes styles from files of the daemon only. A library that makes <style> elements or sets
// style attributes gets the same from here by other means: an adopted style sheet, and the style object.

/** A stand-in for a <style> element; its text goes to a style sheet of the document. */
function standIn() {
  const element = document.createElement("template");
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, "textContent", { set: (css) => sheet.replaceSync(css) });
  const { remove } = element;
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    remove.call(element);
  };
  return element;
}

/** For the rest of the page's life. */
export function allowInlineStyle() {
  const create = document.createElement;
  /** @param {string} name @param {ElementCreationOptions} [options] */
  document.createElement = function (name, options) {
    return name === "style" ? standIn() : create.call(document, name, options);
  };
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style" && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
