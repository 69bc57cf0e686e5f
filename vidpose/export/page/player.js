// The one clock. With a video, the frame that it presents is the frame that everything shows; without, the computer's
// time is the clock.

const INSIDE = 0.0005; // seconds into a frame to seek to: its own time may be rounded to the wrong side

// Minutes, seconds, and hundredths of a second.
const seconds = (time) => {
  const hundredths = Math.round(time * 100);
  const parts = [Math.floor(hundredths / 6000), Math.floor(hundredths / 100) % 60, hundredths % 100];
  const [minutes, whole, rest] = parts.map((part) => String(part).padStart(2, "0"));
  return `${minutes}:${whole}.${rest}`;
};

const lengthOf = (times) => times[times.length - 1] - times[0];

// A moment in few letters: as the clock has it, or, where the clock has no minutes yet, in seconds.
const moment = (time, times, digits = 0) => {
  if (times[times.length - 1] >= 100) return seconds(time).slice(0, -3);
  return `${digits ? time.toFixed(digits) : time} s`;
};

class Player {
  constructor(video, times, show) {
    this.video = video;
    this.times = times;
    this.show = show;
    this.frame = 0;
    this.playing = false;
    this.speed = 1;
    if (!video) return;
    video.addEventListener("ended", () => this.stop(times.length - 1));
    video.addEventListener("error", () => {
      this.pause();
      this.video = null;
    });
  }

  get last() {
    return this.times.length - 1;
  }

  set(frame) {
    this.frame = Math.min(this.last, Math.max(0, frame));
    this.show(this.frame, this.playing);
  }

  seek(frame) {
    this.set(frame);
    if (this.video) this.video.currentTime = this.times[this.frame] - this.times[0] + INSIDE;
    this.restartClock();
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.video) this.video.playbackRate = speed;
    this.restartClock();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.last === 0) return;
    if (this.frame === this.last) this.seek(0);
    this.playing = true;
    this.set(this.frame);
    this.restartClock();
    if (this.video) {
      this.video.playbackRate = this.speed;
      this.video.play().catch(() => this.pause());
    }
    this.next();
  }

  pause() {
    this.video?.pause();
    this.stop(this.frame);
    // The picture may be a frame further on than the last one that was told.
    if (this.video) this.seek(this.frame);
  }

  stop(frame) {
    this.playing = false;
    this.set(frame);
  }

  restartClock() {
    this.started = { at: performance.now(), time: this.times[this.frame] };
  }

  next() {
    if (!this.playing) return;
    if (this.video?.requestVideoFrameCallback) {
      this.video.requestVideoFrameCallback((_, { mediaTime }) => this.tick(mediaTime + this.times[0]));
    } else {
      requestAnimationFrame((now) => {
        const passed = Math.max(0, now - this.started.at) / 1000;
        this.tick(this.video ? this.video.currentTime + this.times[0] : this.started.time + passed * this.speed);
      });
    }
  }

  tick(time) {
    if (!this.playing) return;
    this.set(frameAt(this.times, time + INSIDE));
    if (!this.video && time >= this.times[this.last]) this.stop(this.last);
    else this.next();
  }
}
