// @grpc/grpc-js against our server: node client.js TARGET, with the package in NODE_PATH.
const grpc = require("@grpc/grpc-js");

const same = { requestSerialize: (b) => b, requestDeserialize: (b) => b, responseSerialize: (b) => b, responseDeserialize: (b) => b };
const method = (name, requestStream, responseStream) => ({ path: "/netkernel.test.Probe/" + name, requestStream, responseStream, ...same });
const Client = grpc.makeGenericClientConstructor({
  unary: method("Unary", false, false), collect: method("Collect", true, false), count: method("Count", false, true), talk: method("Talk", true, true),
}, "Probe");
const client = new Client(process.argv[2], grpc.credentials.createInsecure());
const text = (s) => Buffer.concat([Buffer.from([0x0a, Buffer.byteLength(s)]), Buffer.from(s)]);
const check = (what, ok) => console.log((ok ? "ok " : "WRONG ") + what);
const soon = () => ({ deadline: Date.now() + 10000 });

const unary = (message, metadata = new grpc.Metadata(), options = soon()) => new Promise((resolve) => {
  const got = {};
  const call = client.unary(message, metadata, options, (error, reply) => { got.error = error; got.reply = reply; });
  call.on("metadata", (m) => { got.headers = m; });
  call.on("status", (s) => { got.status = s; resolve(got); });
});

(async () => {
  check("unary", (await unary(text("hello"))).reply.equals(text("hello")));
  const failed = await unary(text("fail NotFound 100% ünknown"));
  check("status", failed.error.code === grpc.status.NOT_FOUND && failed.error.details === "100% ünknown");
  const late = await unary(text("sleep"), new grpc.Metadata(), { deadline: Date.now() + 300 });
  check("deadline", late.error.code === grpc.status.DEADLINE_EXCEEDED);
  const metadata = new grpc.Metadata();
  metadata.set("x-text", "t");
  metadata.set("x-bytes-bin", Buffer.from([0, 255]));
  const both = await unary(text("metadata"), metadata);
  check("metadata", both.headers.get("x-bytes-bin")[0].equals(Buffer.from([0, 255])) && both.status.metadata.get("x-end")[0] === "t");
  await new Promise((resolve) => {
    const call = client.collect(soon(), (error, reply) => { check("client stream", !error && reply.equals(Buffer.concat([text("ab")]))); resolve(); });
    call.write(text("a"));
    call.write(text("b"));
    call.end();
  });
  await new Promise((resolve) => {
    let n = 0;
    client.count(Buffer.from([0x10, 100]), soon()).on("data", () => n++).on("end", () => { check("server stream", n === 100); resolve(); });
  });
  await new Promise((resolve) => {
    const back = [];
    const call = client.talk(soon());
    call.on("data", (b) => { back.push(b); if (back.length === 2) call.end(); });
    call.on("end", () => { check("duplex", Buffer.concat(back).equals(Buffer.concat([text("ABC"), text("DEF")]))); resolve(); });
    call.write(text("abc"));
    call.write(text("def"));
  });
  client.close();
})();
