// What part of the map is seen: moved by dragging, zoomed by buttons and by the wheel with Ctrl.
//
// The style property --k is the map's units to a pixel: signs and letters that are sized by it stay as large at any zoom.

import { type Place, spacingOf } from "./layout.ts";

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const ZOOM = 1.4;
/** A small network is not blown up beyond this. */
const LEAST_UNITS_A_PIXEL = 0.85;
/** Where KMs stand closer on the screen, names are shown of those alone that somebody looks at. */
const NAME_PX = 46;
/** A press that moves less is a click. */
const CLICK_PX = 4;

/** The part of the map that is seen: wheel, drag, pinch and keys move it. */
export class Viewport {
  readonly #svg: SVGSVGElement;
  #all: Box = { x: 0, y: 0, width: 100, height: 100 };
  #box: Box = this.#all;
  /** Between neighbours on the map, in its units. */
  #spacing = Number.POSITIVE_INFINITY;

  constructor(svg: SVGSVGElement) {
    this.#svg = svg;
    new ResizeObserver(() => this.#show(this.#box)).observe(svg);
    svg.addEventListener("pointerdown", (event) => this.#drag(event));
    svg.addEventListener(
      "wheel",
      (event) => {
        // Without Ctrl the page scrolls, as everywhere.
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM);
      },
      { passive: false },
    );
  }

  /** Shows all places with so much around them. */
  fit(places: readonly Place[], margin: number): void {
    const [xs, ys] = [places.map(({ x }) => x), places.map(({ y }) => y)];
    const [left, top] = [Math.min(...xs) - margin, Math.min(...ys) - margin];
    const [right, bottom] = [Math.max(...xs) + margin, Math.max(...ys) + margin];
    this.#all = { x: left, y: top, width: right - left, height: bottom - top };
    this.#spacing = spacingOf(places);
    // As high as the network needs it, within what the style sheet allows.
    this.#svg.style.aspectRatio = `${right - left} / ${bottom - top}`;
    this.all();
  }

  all(): void {
    this.#show(this.#all);
  }

  zoom(factor: number): void {
    const { x, y, width, height } = this.#box;
    const [w, h] = [width / factor, height / factor];
    this.#show({ x: x + (width - w) / 2, y: y + (height - h) / 2, width: w, height: h });
  }

  #show(box: Box): void {
    this.#box = box;
    const { width } = this.#svg.getBoundingClientRect();
    this.#svg.setAttribute("viewBox", this.#boxOnScreen().join(" "));
    this.#svg.style.setProperty("--k", this.#unitsAPixel().toFixed(3));
    this.#svg.classList.toggle("narrow", width < 560);
    this.#svg.classList.toggle("crowded", this.#spacing / this.#unitsAPixel() < NAME_PX);
    this.#svg.classList.toggle("zoomed", box.width < this.#all.width * 0.99);
  }

  #unitsAPixel(): number {
    const { width, height } = this.#svg.getBoundingClientRect();
    const fitting = Math.max(this.#box.width / Math.max(1, width), this.#box.height / Math.max(1, height));
    const isZoomed = this.#box.width < this.#all.width * 0.99;
    return isZoomed ? fitting : Math.max(LEAST_UNITS_A_PIXEL, fitting);
  }

  /** The box made as wide and high as the element: x, y, width, height. */
  #boxOnScreen(): readonly number[] {
    const { width, height } = this.#svg.getBoundingClientRect();
    const k = this.#unitsAPixel();
    const { x, y, width: w, height: h } = this.#box;
    return [x + (w - width * k) / 2, y + (h - height * k) / 2, width * k, height * k];
  }

  #drag({ clientX, clientY, pointerId, button, pointerType }: PointerEvent): void {
    const isWhole = this.#box.width >= this.#all.width * 0.99;
    // A finger on the whole map scrolls the page.
    if (button !== 0 || (pointerType === "touch" && isWhole)) return;
    const from = this.#box;
    const scale = this.#unitsAPixel();
    const move = (event: PointerEvent): void => {
      const [dx, dy] = [event.clientX - clientX, event.clientY - clientY];
      if (event.pointerId !== pointerId || Math.hypot(dx, dy) < CLICK_PX) return;
      this.#show({ ...from, x: from.x - dx * scale, y: from.y - dy * scale });
    };
    const end = (): void => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  }
}
