// The one owner of scrolling: the page follows the answer only while its end is in sight.

const NEAR = 80; // pixels

export class Scroll {
  constructor(jump) {
    this.jump = jump;
    this.isFollowing = true;
    addEventListener("scroll", () => this.moved(), { passive: true });
    addEventListener("resize", () => this.grown());
    jump.addEventListener("click", () => this.toEnd());
  }

  /** Say that the page has grown. */
  grown() {
    if (this.isFollowing) this.toEnd();
    else this.show();
  }

  toEnd() {
    this.isFollowing = true;
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.show();
  }

  moved() {
    this.isFollowing = this.distance() < NEAR;
    this.show();
  }

  distance() {
    const page = document.documentElement;
    return page.scrollHeight - page.clientHeight - scrollY;
  }

  show() {
    this.jump.hidden = this.isFollowing;
  }
}
