using NetKernel.Bench;

return args is ["SocketLoops" or "socketloops", .. string[] rest] ? SocketLoops.Run(rest) : Unknown();

static int Unknown()
{
    Console.Error.WriteLine("bench NAME: SocketLoops");
    return 2;
}
