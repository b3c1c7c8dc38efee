using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>What the control thread tells a loop. Runs on the loop's thread, between two passes.</summary>
internal abstract class LoopCommand
{
    private readonly ManualResetEventSlim _done = new(false);

    public abstract void Run(SwitchLoop loop);

    /// <summary>Called by the loop when it has run the command.</summary>
    public void Finish() => _done.Set();

    /// <summary>Waits for that.</summary>
    public void Wait() => _done.Wait();
}

/// <summary>The mailbox: one command at a time.</summary>
internal sealed unsafe partial class SwitchLoop
{
    private readonly int _bell;
    private LoopCommand? _command;
    private bool _stop;

    /// <summary>Hands over a command and waits until the loop has run it. Control thread only.</summary>
    public void Execute(LoopCommand command)
    {
        Post(command);
        command.Wait();
    }

    /// <summary>Hands over a command; the caller waits for it before it posts another.</summary>
    public void Post(LoopCommand command)
    {
        Volatile.Write(ref _command, command);
        ulong one = 1;
        _ = Libc.WriteFast(_bell, &one, sizeof(ulong));
    }

    /// <summary>Ends <see cref="Run"/>. From a command.</summary>
    public void Stop() => _stop = true;

    private bool TakeCommand()
    {
        LoopCommand? command = Volatile.Read(ref _command);
        if (command == null)
        {
            return false;
        }

        Volatile.Write(ref _command, null);
        command.Run(this);
        Flush();
        command.Finish();
        return true;
    }

    private void CallControl()
    {
        ulong one = 1;
        _ = Libc.WriteFast(_reports, &one, sizeof(ulong));
    }
}
