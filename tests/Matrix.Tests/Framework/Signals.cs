namespace NetKernel.Matrix.Tests.Framework;

/// <summary>signal(7), by what servers use them for.</summary>
internal static class Signals
{
    public const int Hangup = 1, Interrupt = 2, Quit = 3, User1 = 10, User2 = 12, Terminate = 15, WindowChange = 28;
}
