using NetKernel.Channel;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>Passes everything on to a stack, and notes once per turn what the loop's thread has allocated so far.</summary>
internal sealed unsafe class Probe(INetworkStack stack) : INetworkStack
{
    private long _allocated;
    private long _turns;

    public long Allocated => Volatile.Read(ref _allocated);

    public long Turns => Volatile.Read(ref _turns);

    public int StateBytes => stack.StateBytes;

    public bool HasTcp => stack.HasTcp;

    public int FindCongestion(string name) => stack.FindCongestion(name);

    public void SetCongestion(Connection* c, int which) => stack.SetCongestion(c, which);

    public void Start(StackHost host) => stack.Start(host);

    public void GuestAdded(Guest guest) => stack.GuestAdded(guest);

    public void GuestRemoved(Guest guest) => stack.GuestRemoved(guest);

    public int Socket(Connection* c, int domain, int type, int protocol) => stack.Socket(c, domain, type, protocol);

    public void Bind(Connection* c, in Endpoint address, NqeFlags flags) => stack.Bind(c, in address, flags);

    public void Listen(Connection* c, int backlog) => stack.Listen(c, backlog);

    public void Connect(Connection* c, in Endpoint address, NqeFlags flags) => stack.Connect(c, in address, flags);

    public int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length) =>
        stack.GetOption(c, level, name, value, room, out length);

    public int SetOption(Connection* c, int level, int name, ulong value, uint length) => stack.SetOption(c, level, name, value, length);

    public void Shutdown(Connection* c, int how) => stack.Shutdown(c, how);

    public int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local) => stack.Accept(c, listener, token, out local);

    public void Decline(ulong token) => stack.Decline(token);

    public void Close(Connection* c, bool abort) => stack.Close(c, abort);

    public void Drop(Connection* c) => stack.Drop(c);

    public void Run(Connection* c) => stack.Run(c);

    public void Ready(ulong data, uint events) => stack.Ready(data, events);

    public uint Poll()
    {
        Volatile.Write(ref _allocated, GC.GetAllocatedBytesForCurrentThread());
        Volatile.Write(ref _turns, _turns + 1);
        return stack.Poll();
    }
}
