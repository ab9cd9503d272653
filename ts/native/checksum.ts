// CRC32C (Castagnoli, RFC 3720) with the CPU's instruction.
import { native } from './call.js';

/** The checksum of the bytes, in [0, 2^32). */
export const crc32c = (bytes: Uint8Array): number => native((addon) => addon.crc32c(bytes));
