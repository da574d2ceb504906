/** Which IP addresses lie on the public internet (IANA special-purpose registries, RFC 6890 and its updates). */
import { BlockList, isIP } from "node:net";

const special = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  special.addSubnet(net, bits, "ipv4");
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  special.addSubnet(net, bits, "ipv6");

/** Of IPv6 only this part is handed out; everything else is loopback, local, multicast, translated or unassigned. */
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");
const mapped4 = new BlockList();
mapped4.addSubnet("::ffff:0:0", 96, "ipv6");

/** Whether a connection to this address leaves for the public internet. Anything that is not an address does not. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 0 || address.includes("%")) return false;
  if (version === 4) return !special.check(address, "ipv4");
  // BlockList applies IPv4 rules to IPv4-mapped addresses by itself.
  if (mapped4.check(address, "ipv6")) return !special.check(address, "ipv6");
  return global6.check(address, "ipv6") && !special.check(address, "ipv6");
}
