using System.CommandLine;

var root = new RootCommand("NetKernel: the network stack as a service");
return root.Parse(args).Invoke();
