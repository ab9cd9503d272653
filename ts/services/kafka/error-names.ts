// Error codes of the Kafka protocol (kafka.apache.org/protocol#protocol_error_codes): those that a consumer meets.

export const errors = {
  offsetOutOfRange: 1,
  unknownTopic: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  replicaNotAvailable: 9,
  invalidTopic: 17,
  topicAuthorization: 29,
  storage: 56,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
  unsupportedCompression: 76,
  offsetNotAvailable: 78,
  unknownTopicId: 100,
  inconsistentTopicId: 103,
} as const;

const names: Record<number, string> = {
  [-1]: 'the broker met an unknown error',
  1: 'the offset is out of range',
  2: 'a message is corrupt on the broker',
  3: 'there is no such topic or partition',
  5: 'the partition has no leader',
  6: 'the broker does not lead the partition any more',
  7: 'the broker timed out',
  9: 'the replica is not available',
  17: 'the name of the topic is invalid',
  29: 'not authorized to read the topic',
  31: 'not authorized for the cluster',
  33: 'the SASL mechanism is not supported',
  34: 'authentication was asked for in a wrong state',
  35: 'the version of the request is not supported',
  56: 'the broker cannot read its disk',
  58: 'authentication failed',
  74: 'the leader of the partition changed',
  75: 'the leader of the partition changed',
  76: 'records are compressed in a way that this version of the request cannot carry',
  78: 'the offset is not available yet',
  100: 'there is no topic of this id',
  103: 'the topic has another id',
};

export const nameOf = (code: number): string => names[code] ?? `error ${code} of the Kafka protocol`;

/** They pass when the cluster has told anew who leads the partition. */
const passing: ReadonlySet<number> = new Set([
  errors.unknownTopic,
  errors.leaderNotAvailable,
  errors.notLeader,
  errors.replicaNotAvailable,
  errors.storage,
  errors.fencedLeaderEpoch,
  errors.unknownLeaderEpoch,
  errors.offsetNotAvailable,
  errors.unknownTopicId,
  errors.inconsistentTopicId,
]);

export const passes = (code: number): boolean => passing.has(code);
