using System.Globalization;
using NetKernel.ControlPlane.Tests.Store;

// The test runner does not come this way; these are the processes that tests start and kill.
return args switch
{
    ["store-writer", var path, var seed] => CrashTests.Writer(path, int.Parse(seed, CultureInfo.InvariantCulture)),
    ["usage-writer", var folder] => NetKernel.ControlPlane.Tests.Usage.UsageStoreTests.Writer(folder),
    _ => 2,
};
