using NetKernel.Matrix.Kestrel;

return args switch
{
    ["serve"] => await Server.Run(),
    ["client", string host] => await Client.Run(host),
    _ => 2,
};
