using NetKernel.ControlPlane;
using NetKernel.ControlPlane.Services;

try
{
    return await Daemon.RunAsync(NkdOptions.Parse(args));
}
catch (ServiceException e)
{
    await Console.Error.WriteLineAsync("nkd: " + e.Message);
    return e.Code == FailureCode.InvalidArgument ? 2 : 1;
}
