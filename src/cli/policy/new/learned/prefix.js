// Prefixes as the contract has them: `{ address: { tag, val }, length }`, where `val` has four octets
// or eight groups of 16 bits.

const DECIMAL = /^(0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/i;

// Reads a prefix as people write it, 192.0.2.0/24; null where it is none, or has host bits set. The
// last octets of an IPv6 address cannot be written as those of IPv4.
export function parse(text) {
  const [written, digits, ...rest] = text.split("/");
  const address = ipv4(written) ?? ipv6(written);
  if (address === null || rest.length > 0 || !DECIMAL.test(digits)) {
    return null;
  }
  const length = Number(digits);
  const shift = bits(address) - length;
  const network = shift < 0 ? null : (number(address) >> BigInt(shift)) << BigInt(shift);
  return network === number(address) ? { address, length } : null;
}

// Whether the other lies inside of this one, or is the same.
export function covers({ address, length }, other) {
  const shift = BigInt(bits(address) - length);
  return (
    address.tag === other.address.tag &&
    length <= other.length &&
    number(address) >> shift === number(other.address) >> shift
  );
}

// The longest that a prefix of this address can be.
export function bits({ tag }) {
  return tag === "ipv4" ? 32 : 128;
}

function number({ tag, val }) {
  const width = tag === "ipv4" ? 8n : 16n;
  return val.reduce((number, part) => (number << width) | BigInt(part), 0n);
}

function ipv4(text) {
  const octets = text.split(".");
  const good = octets.length === 4 && octets.every((octet) => DECIMAL.test(octet) && octet <= 255);
  return good ? { tag: "ipv4", val: octets.map(Number) } : null;
}

function ipv6(text) {
  const groups = (half) => (half === "" ? [] : half.split(":"));
  const [head, tail, ...rest] = text.split("::").map(groups);
  const missing = 8 - head.length - (tail ?? []).length;
  if (rest.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) {
    return null;
  }
  const all = [...head, ...Array(missing).fill("0"), ...(tail ?? [])];
  const good = all.every((group) => GROUP.test(group));
  return good ? { tag: "ipv6", val: all.map((group) => Number.parseInt(group, 16)) } : null;
}
