// What each application may take: a token bucket in bits.

import { Fault } from "../../core/fault.ts";
import type { AppId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";

/** What an application may take: bits a second, and bits at once. */
export interface Quota {
  readonly bitsPerS: number;
  readonly burstBits: number;
}

interface Bucket {
  quota: Quota;
  bits: number;
  filledAt: number;
}

/** `waitMs` as `Quotas.take` returns it. */
export function quotaFault(waitMs: number): Fault {
  if (Number.isFinite(waitMs)) return new Fault("QUOTA_EXCEEDED", { retryAfterMs: waitMs });
  return new Fault("QUOTA_EXCEEDED", { text: "the request is larger than the application's quota_burst_bits" });
}

/** A token bucket for each application, in bits. */
export class Quotas {
  readonly #clock: Clock;
  readonly #quotaOf: (app: AppId) => Quota;
  readonly #buckets = new Map<AppId, Bucket>();

  constructor(clock: Clock, quotaOf: (app: AppId) => Quota) {
    this.#clock = clock;
    this.#quotaOf = quotaOf;
  }

  /** Takes `bits` and returns 0; or takes nothing and returns the ms after which it would succeed (Infinity: never). */
  take(app: AppId, bits: number): number {
    const bucket = this.#bucket(app);
    // What was told to be enough must be, whatever the rounding of fractions of a bit.
    if (bits <= bucket.bits + 1e-6) {
      bucket.bits -= bits;
      return 0;
    }
    if (bits > bucket.quota.burstBits) return Number.POSITIVE_INFINITY;
    return Math.ceil(((bits - bucket.bits) / bucket.quota.bitsPerS) * 1000);
  }

  /** Gives back what a failed request took. */
  refund(app: AppId, bits: number): void {
    const bucket = this.#bucket(app);
    bucket.bits = Math.min(bucket.quota.burstBits, bucket.bits + bits);
  }

  /** Quotas may be others from now on. Nobody has more at once than the new one allows; who is known no more has none. */
  changed(): void {
    for (const [app, bucket] of this.#buckets) {
      try {
        bucket.quota = this.#quotaOf(app);
        bucket.bits = Math.min(bucket.bits, bucket.quota.burstBits);
      } catch {
        this.#buckets.delete(app);
      }
    }
  }

  #bucket(app: AppId): Bucket {
    const now = this.#clock.monotonicMs();
    let bucket = this.#buckets.get(app);
    if (bucket === undefined) {
      const quota = this.#quotaOf(app);
      bucket = { quota, bits: quota.burstBits, filledAt: now };
      this.#buckets.set(app, bucket);
    }
    const gained = ((now - bucket.filledAt) * bucket.quota.bitsPerS) / 1000;
    bucket.bits = Math.min(bucket.quota.burstBits, bucket.bits + gained);
    bucket.filledAt = now;
    return bucket;
  }
}
